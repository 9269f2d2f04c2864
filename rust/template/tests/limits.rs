//! Templates that would rather do something else than render.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use strongroom_template::corpus::message;
use strongroom_template::{CODES, ChatTemplate, Limits, Message, Role, TemplateError};

fn hello() -> Vec<Message> {
    vec![message(Role::User, "hello SECRET")]
}

fn render(source: &str) -> Result<String, TemplateError> {
    // A fiftieth of the fuel that templates get: the same ends, sooner.
    let limits = Limits {
        fuel: 40_000,
        ..Limits::default()
    };
    ChatTemplate::with_limits(source, "<s>", "</s>", limits)?.render(&hello())
}

#[track_caller]
fn is_limited(source: &str) {
    let result = render(source);
    assert!(
        matches!(result, Err(TemplateError::Limit(_))),
        "{source}: {result:?}"
    );
}

#[test]
fn loops_end() {
    is_limited("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}");
    is_limited("{% for a in range(99999) %}{{ a }}{% endfor %}");
    is_limited(
        "{% set ns = namespace(x=[1]) %}{% for a in range(99999) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    );
    is_limited(
        "{% for m in messages %}{% for a in range(99999) %}{{ m.content.count('l') }}{% endfor %}{% endfor %}",
    );
    is_limited("{{ (range(90000) | list | tojson) ~ (range(90000) | list | sort | join) }}");
}

#[test]
fn strings_end() {
    is_limited(
        "{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for a in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    );
    is_limited("{% set x = 'x' * 2000000000 %}");
    is_limited("{% set n = 99999 %}{{ ('x' * n).replace('x', 'x' * n) }}");
    is_limited("{% set n = 99999 %}{{ ('x' * n).join(range(n)) }}");
    is_limited("{{ '%9999999d' | format(1) }}");
    is_limited("{{ 'x' | indent(width=99999999, first=true) }}");
    is_limited(
        "{% set a = ['x' * 99] * 99 %}{% set b = [a] * 99 %}{% set c = [b] * 99 %}{{ ([c] * 99) | tojson }}",
    );
}

#[test]
fn ranges_end() {
    is_limited("{{ range(100000000) | list | length }}");
    is_limited("{% for a in range(0, 9999999999, 3) %}{% endfor %}");
}

#[test]
fn recursion_ends() {
    is_limited("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
    is_limited("{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}");
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(400), ")".repeat(400));
    assert!(matches!(render(&deep), Err(TemplateError::Syntax(_))));
    let nested = "{% if true %}".repeat(5_000) + &"{% endif %}".repeat(5_000);
    assert!(matches!(
        render(&nested),
        Err(TemplateError::Syntax(_) | TemplateError::Limit(_))
    ));
}

#[test]
fn values_neither_hold_themselves_nor_grow_deep() {
    let cycle = "{% set ns = namespace() %}{% set ns.me = [ns] %}{% set ns.me = [ns] %}";
    assert_eq!(
        render(&format!("{cycle}{{{{ ns == ns }}}}{{{{ ns | tojson }}}}")).unwrap(),
        r#"True{"me": [{"me": [{}]}]}"#
    );
    for deep in [
        "{% set ns = namespace() %}{% for a in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set ns = namespace() %}{% for a in range(999) %}{% set ns.x = ns %}{% endfor %}",
    ] {
        assert!(
            matches!(render(deep), Err(TemplateError::Failed(_))),
            "{deep}"
        );
    }
    // A lazy view of itself, of itself, …
    let lazy = "{% set ns = namespace(x=[1, 2]) %}{% for a in range(99) %}{% set ns.x = ns.x[::-1] | map('int') %}{% endfor %}{{ ns.x }}";
    assert_eq!(render(lazy).unwrap(), "[2, 1]");
}

#[test]
fn long_chains_are_limited() {
    is_limited(&format!("{{{{ 1{} }}}}", " + 1".repeat(10_000)));
    is_limited(&format!("{{{{ 'x'{} }}}}", " | trim".repeat(10_000)));
    is_limited(&format!("{{{{ {}1 }}}}", "not ".repeat(60_000)));
    is_limited(&format!(
        "{{% if 1 %}}{}{{% endif %}}",
        "{% elif 1 %}".repeat(10_000)
    ));
    // Within the limit, the parser's recursion fits a small stack.
    let sum = render(&format!("{{{{ 1{} }}}}", " + 1".repeat(490)));
    assert_eq!(sum.unwrap(), "491");
    let text = render(&format!("{{{{ 'x'{} }}}}", " | trim".repeat(490)));
    assert_eq!(text.unwrap(), "x");
    assert!(render(&format!("{{{{ {}1 }}}}", "not ".repeat(980))).is_ok());
    let branches = "{% elif 1 %}".repeat(199);
    assert!(render(&format!("{{% if 0 %}}{branches}{{% endif %}}")).is_ok());
}

#[test]
fn sources_have_a_size() {
    let limit = Limits::default().source;
    assert!(ChatTemplate::new(&"x".repeat(limit), "", "").is_ok());
    assert_eq!(
        ChatTemplate::new(&"x".repeat(limit + 1), "", "").unwrap_err(),
        TemplateError::Limit("size of the source")
    );
}

#[test]
fn output_has_a_size() {
    let limits = Limits {
        output: 20,
        ..Limits::default()
    };
    let template = |source| ChatTemplate::with_limits(source, "", "", limits).unwrap();
    assert_eq!(
        template("{{ 'ä' * 20 }}").render(&hello()),
        Ok("ä".repeat(20))
    );
    assert_eq!(
        template("{{ 'ä' * 21 }}").render(&hello()),
        Err(TemplateError::Limit("size of the output"))
    );
}

#[test]
fn time_has_an_end() {
    let limits = Limits {
        time: Duration::ZERO,
        ..Limits::default()
    };
    let template = ChatTemplate::with_limits("x", "", "", limits).unwrap();
    assert_eq!(template.render(&hello()), Err(TemplateError::Limit("time")));
}

#[test]
fn nothing_outside_can_be_named() {
    for source in [
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% from 'x' import y %}",
        "{% extends '/etc/passwd' %}",
        "{% block x %}{% endblock %}",
    ] {
        assert!(
            matches!(render(source), Err(TemplateError::Syntax(_))),
            "{source}"
        );
    }
    for source in [
        "{{ open('/etc/passwd') }}",
        "{{ debug() }}",
        "{{ lipsum() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__ }}",
        "{{ ('' | attr('__class__')).mro() }}",
        "{{ self._TemplateReference__context.environment }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'system'}) }}",
    ] {
        let result = render(source);
        assert!(
            matches!(result, Err(TemplateError::Failed(_))),
            "{source}: {result:?}"
        );
    }
}

#[test]
fn what_a_template_raises_is_repeated_only_if_the_source_says_it() {
    let raised = |source| render(source).unwrap_err().to_string();
    assert_eq!(
        raised("{{ raise_exception('roles must alternate') }}"),
        "the chat template failed: roles must alternate (line 1)"
    );
    for source in [
        "{{ raise_exception('saw ' ~ messages[0].content) }}",
        "{{ messages[0].content | map(messages[0].content) | list }}",
        "{{ {}[messages[0].content].x }}",
        "{{ messages[0].content + 1 }}",
        "{{ messages[0].content | int }}",
        "{{ strftime_now(messages[0].content ~ '%Q') }}",
    ] {
        assert!(
            !raised(source).contains("SECRET"),
            "{source}: {}",
            raised(source)
        );
    }
}

#[test]
fn every_error_has_a_code_and_a_next_step() {
    let errors = [
        render("{% if %}").unwrap_err(),
        render("{{ raise_exception('no') }}").unwrap_err(),
        render("{{ 'x' * 2000000000 }}").unwrap_err(),
        TemplateError::HidesContent,
        strongroom_template::Untokenizable.into(),
    ];
    let mut codes: Vec<_> = errors.iter().map(TemplateError::code).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut all = CODES.to_vec();
    all.sort_unstable();
    assert_eq!(codes, all);
    assert!(errors.iter().all(|error| !error.next_step().is_empty()));
}
