//! Short templates in the styles that models use.

/// A template and the tokens that its scaffold is written with.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// What the style is known as.
    pub name: &'static str,
    /// The template.
    pub source: &'static str,
    /// The text of BOS; empty if the style has none.
    pub bos: &'static str,
    /// The text of EOS.
    pub eos: &'static str,
    /// The control tokens of the scaffold, BOS and EOS included.
    pub tokens: &'static [&'static str],
    /// Markers of the scaffold that vocabularies hold as user-defined tokens.
    pub markers: &'static [&'static str],
}

/// One of each.
pub const STYLES: &[Style] = &[
    Style {
        name: "chatml",
        source: "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        bos: "",
        eos: "<|im_end|>",
        tokens: &["<|im_start|>", "<|im_end|>"],
        markers: &[],
    },
    Style {
        name: "chatml with a default system message",
        source: "{%- if messages[0].role != 'system' -%}\n<|im_start|>system\nYou answer briefly.<|im_end|>\n{% endif -%}\n{%- for m in messages %}\n    {%- generation %}\n<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n    {% endgeneration %}\n{%- endfor %}\n<|im_start|>assistant\n\n",
        bos: "",
        eos: "<|im_end|>",
        tokens: &["<|im_start|>", "<|im_end|>"],
        markers: &[],
    },
    Style {
        name: "named speakers",
        source: "{% for m in messages %}<|im_start|>{{ m.role }}{% if m.name is defined %} name={{ m.name }}{% endif %}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
        bos: "",
        eos: "<|im_end|>",
        tokens: &["<|im_start|>", "<|im_end|>"],
        markers: &[],
    },
    Style {
        name: "inst",
        source: "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = '<<SYS>>\n' ~ messages[0]['content'] ~ '\n<</SYS>>\n\n' %}{% else %}{% set rest = messages %}{% set system = '' %}{% endif %}{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('user and assistant must take turns') }}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + (system if loop.first else '') + message['content'].strip() + ' [/INST]' }}{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
        bos: "<s>",
        eos: "</s>",
        tokens: &["<s>", "</s>"],
        markers: &[],
    },
    Style {
        name: "inst as control tokens",
        source: "{{- bos_token }}{%- for m in messages %}{%- if m.role == 'user' %}{{- '[INST]' + m.content + '[/INST]' }}{%- elif m.role == 'system' %}{{- '[SYSTEM_PROMPT]' + m.content + '[/SYSTEM_PROMPT]' }}{%- elif m.role == 'tool' %}{{- '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' }}{%- else %}{{- m.content + eos_token }}{%- endif %}{%- endfor %}",
        bos: "<s>",
        eos: "</s>",
        tokens: &[
            "<s>",
            "</s>",
            "[INST]",
            "[/INST]",
            "[SYSTEM_PROMPT]",
            "[/SYSTEM_PROMPT]",
            "[TOOL_RESULTS]",
            "[/TOOL_RESULTS]",
        ],
        markers: &[],
    },
    Style {
        name: "headers",
        source: "{{- bos_token }}\n{%- set ns = namespace(system='') %}\n{%- if messages[0]['role'] == 'system' %}\n    {%- set ns.system = messages[0]['content'] | trim %}\n    {%- set messages = messages[1:] %}\n{%- endif %}\n{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + strftime_now('%d %b %Y') + '\n\n' + ns.system + '<|eot_id|>' }}\n{%- for m in messages %}\n    {{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}\n{%- endif %}\n",
        bos: "<|begin_of_text|>",
        eos: "<|eot_id|>",
        tokens: &[
            "<|begin_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ],
        markers: &[],
    },
    Style {
        name: "turns",
        source: "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('there is no system role') }}{% endif %}{% for m in messages %}{% set role = 'model' if m.role == 'assistant' else m.role %}{{ '<start_of_turn>' + role + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        bos: "<bos>",
        eos: "<end_of_turn>",
        tokens: &["<bos>", "<start_of_turn>", "<end_of_turn>"],
        markers: &[],
    },
    Style {
        name: "role tokens",
        source: "{% for m in messages %}{% if m.role == 'system' and m.content %}{{ '<|system|>\n' + m.content + '<|end|>\n' }}{% elif m.role == 'user' %}{{ '<|user|>\n' + m.content + '<|end|>\n' }}{% else %}{{ '<|assistant|>\n' + m.content + '<|end|>\n' }}{% endif %}{% endfor %}{{ '<|assistant|>\n' }}",
        bos: "<s>",
        eos: "<|endoftext|>",
        tokens: &[
            "<s>",
            "<|endoftext|>",
            "<|system|>",
            "<|user|>",
            "<|assistant|>",
            "<|end|>",
        ],
        markers: &[],
    },
    Style {
        name: "reasoning",
        source: "{%- set ns = namespace(last=messages|length - 1) %}\n{%- for m in messages[::-1] %}\n    {%- set at = messages|length - 1 - loop.index0 %}\n    {%- if m.role == 'user' %}\n        {%- set ns.last = at %}\n        {%- break %}\n    {%- endif %}\n{%- endfor %}\n{%- for m in messages %}\n    {%- set content = m.content %}\n    {%- if m.role == 'assistant' and '</think>' in content %}\n        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n    {%- endif %}\n    {%- if m.role == 'tool' %}\n        {{- '<|im_start|>user\n<tool_response>\n' + content + '\n</tool_response><|im_end|>\n' }}\n    {%- else %}\n        {{- '<|im_start|>' + m.role + '\n' + content + '<|im_end|>\n' }}\n    {%- endif %}\n{%- endfor %}\n{{- '<|im_start|>assistant\n<think>\n' }}",
        bos: "",
        eos: "<|im_end|>",
        tokens: &["<|im_start|>", "<|im_end|>"],
        markers: &["<think>", "</think>", "<tool_response>", "</tool_response>"],
    },
    Style {
        name: "bars",
        source: "{% set ns = namespace(system='') %}{% for m in messages if m.role == 'system' %}{% set ns.system = ns.system ~ m.content %}{% endfor %}{{ bos_token ~ ns.system }}{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' ~ m.content }}{% elif m.role == 'assistant' %}{{ '<｜Assistant｜>' ~ m.content ~ eos_token }}{% endif %}{% endfor %}{{ '<｜Assistant｜>' }}",
        bos: "<｜begin▁of▁sentence｜>",
        eos: "<｜end▁of▁sentence｜>",
        tokens: &[
            "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>",
            "<｜User｜>",
            "<｜Assistant｜>",
        ],
        markers: &[],
    },
    Style {
        name: "json",
        source: "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ {'text': m.content} | tojson }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
        bos: "",
        eos: "<|im_end|>",
        tokens: &["<|im_start|>", "<|im_end|>"],
        markers: &[],
    },
    Style {
        name: "lower case",
        source: "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | lower }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
        bos: "",
        eos: "<|im_end|>",
        tokens: &["<|im_start|>", "<|im_end|>"],
        markers: &[],
    },
    Style {
        name: "words only",
        source: "{% for m in messages %}### {{ m.role | capitalize }}:\n{{ m.content }}\n\n{% endfor %}### Assistant:\n",
        bos: "<s>",
        eos: "</s>",
        tokens: &["<s>", "</s>"],
        markers: &[],
    },
];
