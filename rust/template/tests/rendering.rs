//! What real templates use, rendered as transformers renders it.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, UNIX_EPOCH};

use strongroom_template::corpus::message;
use strongroom_template::{ChatTemplate, Message, Role};

fn conversation() -> Vec<Message> {
    vec![
        message(Role::System, " Be <brief>. "),
        message(Role::User, "a, b & 'c'\n"),
        message(Role::Assistant, "<think>hm</think>ok"),
    ]
}

#[track_caller]
fn renders(source: &str, expected: &str) {
    let template = ChatTemplate::new(source, "<s>", "</s>")
        .unwrap()
        .at(UNIX_EPOCH + Duration::from_secs(1_721_952_000));
    assert_eq!(
        template.render(&conversation()).unwrap(),
        expected,
        "{source}"
    );
}

#[test]
fn blocks_are_trimmed_and_stripped() {
    renders("{% if true %}\n  a\n    {% endif %}\nb\n", "  a\nb");
    renders("a {%- if true -%} b {%- endif %} c", "ab c");
    renders("{# note #}\nx  {{ 1 }}\ny", "x  1\ny");
    renders("{% generation %}\nx\n{% endgeneration %}\ny", "x\ny");
}

#[test]
fn namespaces_and_loop_controls_work() {
    renders(
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}{% set ns.n = ns.n + 1 %}{% if loop.last %}{% break %}{% endif %}{% endfor %}{{ ns.n }}",
        "2",
    );
    renders(
        "{% for m in messages[1:] %}{{ loop.index0 }}{{ loop.previtem.role if loop.previtem is defined }}{{ '.' if loop.last }}{% endfor %}",
        "01user.",
    );
    renders(
        "{% macro m(x, y='!') %}{{ x }}{{ y }}{% endmacro %}{{ m('a') }}{{ m('b', y='?') }}",
        "a!b?",
    );
}

#[test]
fn the_context_is_that_of_transformers() {
    renders(
        "{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}{{ tools is none }}",
        "<s></s>TrueTrue",
    );
    renders(
        "{{ tools is defined and not tools }}{{ documents }}",
        "TrueNone",
    );
    renders(
        "{{ messages[0].name is defined }}{{ messages[0]['name'] }}",
        "False",
    );
    renders(
        "{{ messages[0] is mapping }}{{ messages[0].content is string }}",
        "TrueTrue",
    );
    renders("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024");
    renders(
        "{{ unknown_thing }}|{{ unknown_thing is not defined }}",
        "|True",
    );
}

#[test]
fn methods_are_those_of_python() {
    renders("{{ messages[2].content.split('</think>')[-1] }}", "ok");
    renders(
        "{{ messages[2].content.partition('<think>')[2] }}",
        "hm</think>ok",
    );
    renders(
        "{{ messages[2].content.rpartition('>') | join('|') }}",
        "<think>hm</think|>|ok",
    );
    renders(
        "{{ 'a-b-c'.rsplit('-', 1) | join('|') }} {{ ' a  b c '.rsplit(none, 1) | join('|') }}",
        "a-b|c  a  b|c",
    );
    renders(
        "{{ 'prefix-x'.removeprefix('prefix-') }}{{ 'x.txt'.removesuffix('.txt') }}",
        "xx",
    );
    renders(
        "{{ messages[0].content.strip() }}{{ messages[0].content | trim }}",
        "Be <brief>.Be <brief>.",
    );
    renders(
        "{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'bc')) }}{{ 'abc'.index('c') }}",
        "TrueTrue2",
    );
    renders(
        "{{ [1, 2, 3].index(2) }}{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('b', 2) }}",
        "112",
    );
    renders(
        "{% for k, v in {'z': 1, 'a': 2}.items() %}{{ k }}{{ v }}{% endfor %}",
        "z1a2",
    );
    renders(
        "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
        "1",
    );
    renders(
        "{{ messages | map(attribute='role') | join(',') }}",
        "system,user,assistant",
    );
}

#[test]
fn json_is_that_of_python() {
    renders(
        "{{ messages[1] | tojson }}",
        r#"{"role": "user", "content": "a, b & 'c'\n"}"#,
    );
    renders(
        "{{ {'b': [1, 2.5, none, true], 'a': {}} | tojson }}",
        r#"{"b": [1, 2.5, null, true], "a": {}}"#,
    );
    renders(
        "{{ {'b': [1, {}], 'a': []} | tojson(indent=2, sort_keys=true) }}",
        "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {}\n  ]\n}",
    );
    renders(
        "{{ {'a': [1, 2]} | tojson(separators=(',', ':')) }}",
        r#"{"a":[1,2]}"#,
    );
    renders(
        r#"{{ "é\"\\\t" | tojson }}{{ "é𝄞" | tojson(ensure_ascii=true) }}"#,
        r#""é\"\\\t""\u00e9\ud834\udd1e""#,
    );
}
