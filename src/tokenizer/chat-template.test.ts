import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { parseWithNumbers } from "../protocol/json/written-numbers.ts";
import { ChatTemplate, type TemplateInput } from "./chat-template.ts";
import { OWN_FORM } from "../protocol/chat-form.ts";
import { ChatTemplates } from "./chat-templates.ts";

const HELLO = { messages: [{ role: "user", content: "hello" }], addGenerationPrompt: true };

function render(source: string, input: Partial<TemplateInput> = {}): string {
  return ChatTemplate.compile(source, { bos_token: "<s>", eos_token: "</s>" }).render({ ...HELLO, ...input }).text;
}

function errorOf(action: () => unknown): GatewayError {
  try {
    action();
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

describe("a template sees", () => {
  test("messages, tokens by name, and variables of the request", () => {
    const source =
      "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m['content'] }}{% endfor %}{{ eos_token }}{{ mood }}";
    expect(render(source, { kwargs: { mood: "calm" } })).toBe("<s>user:hello</s>calm");
  });

  test("its own variables before what a request gives the same names", () => {
    const kwargs = { messages: [], add_generation_prompt: false, range: 1, true: 0, namespace: 2 };
    expect(
      render("{{ messages|length }}{{ add_generation_prompt }}{{ range(2) }}{% if true %}t{% endif %}", { kwargs }),
    ).toBe("1Truerange(0, 2)t");
  });

  test("numbers of the request as they were written", () => {
    const kwargs = parseWithNumbers('{"x": 1.0, "y": {"z": 12345678901234567890}}') as Record<string, unknown>;
    expect(render("{{ x }} {{ x | tojson }} {{ y.z }}", { kwargs })).toBe("1.0 1.0 12345678901234567890");
  });

  test("the time it is given, in English", () => {
    const now = new Date(2024, 1, 3, 4, 5, 6);
    expect(render("{{ strftime_now('%d %b %Y, %A %B %-d, %j %H:%M:%S %p %%') }}", { now })).toBe(
      "03 Feb 2024, Saturday February 3, 034 04:05:06 AM %",
    );
  });

  test("arguments of tool calls as objects, and what models wrote instead as it is", () => {
    const call = (value: unknown) => ({ type: "function", function: { name: "f", arguments: value } });
    const messages = [{ role: "assistant", tool_calls: [call('{"a": [1]}'), call("{oops"), call(""), call({ b: 2 })] }];
    const source =
      "{% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }};{% endfor %}{{ messages[0].content is none }}";
    expect(render(source, { messages })).toBe('{"a": [1]};"{oops";{};{"b": 2};True');
  });

  test("the reasoning of an earlier answer under each of its names", () => {
    const messages = [{ role: "assistant", content: "x", reasoning: "why" }];
    expect(render("{{ messages[0].reasoning_content }} {{ messages[0].thinking }}", { messages })).toBe("why why");
  });
});

describe("where the package differs from Jinja, Jinja counts", () => {
  const same: readonly (readonly [source: string, text: string])[] = [
    ["{% for i in range(4) %}a{{ i }}{% if i == 1 %}{% continue %}{% endif %}b{% endfor %}", "a0ba1a2ba3b"],
    ["{% for i in range(4) %}a{{ i }}{% if i == 1 %}x{% break %}{% endif %}b{% endfor %}", "a0ba1x"],
    [
      "{% for i in [1] %}x{% continue %}{% else %}none{% endfor %}{% for i in [] %}{% break %}{% else %}y{% endfor %}",
      "xnoney",
    ],
    [
      "{% macro f() %}m{% endmacro %}{% for i in [1, 2] %}{{ f() }}{% set x %}s{% endset %}{% if true %}{% if true %}n{% continue %}{% endif %}{% endif %}{% endfor %}",
      "mnmn",
    ],
    ["{% for i in [1, 2] %}<{% for j in [1, 2] %}{{ j }}{% break %}{% endfor %}>{% endfor %}", "<1><1>"],
    ["{{ 'xxabxx'.lstrip('x') }} {{ '\n a \n'.rstrip('\n') }}| {{ '.a,'.strip('.,') }}", "abxx \n a | a"],
    ["{{ '\ufeff \x1ca\x85' | trim }}|", "\ufeff \x1ca|"],
    ["{{ true }} {{ none }} {{ not true }} {{ 'a' ~ 1 ~ true ~ none }}", "True None False a1TrueNone"],
    ["{{ [1, 'a\\'b', 1.5, none, {'k': [true]}] }} {{ ('a', 2) }}", `[1, "a'b", 1.5, None, {'k': [True]}] ('a', 2)`],
    [
      "{{ '1' == 1 }} {{ 1 == true }} {{ none == '' }} {{ '' == false }} {{ [1, {'a': 2}] == [1, {'a': 2}] }} {{ x == none }}",
      "False True False False True False",
    ],
  ];
  for (const [source, text] of same) test(source, () => expect(render(source)).toBe(text));
});

describe("content", () => {
  const parts = [
    { type: "text", text: "look" },
    { type: "image_url", image_url: { url: "x" } },
  ];
  const loops =
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m['content'] %}[{{ p.type }}]{% endfor %}{% endif %}{% endfor %}";

  test("stays in parts for a template that goes through them", () => {
    expect(ChatTemplate.compile(loops).contentFormat).toBe("parts");
    expect(render(loops, { messages: [{ role: "user", content: parts }] })).toBe("[text][image]");
    expect(render(loops)).toBe("hello");
  });

  test("becomes parts for a template that takes nothing else", () => {
    const source =
      "{% for m in messages %}{% set c = m.content %}{% for p in c %}{{ p.text }}!{% endfor %}{% endfor %}";
    expect(render(source)).toBe("hello!");
  });

  test("is joined for a template that takes strings, and refused where it is more than text", () => {
    const source = "{% for m in messages %}{{ m.content }}{% endfor %}";
    const two = [
      { type: "text", text: "a" },
      { type: "input_text", text: "b" },
    ];
    expect(render(source, { messages: [{ role: "user", content: two }] })).toBe("a\nb");
    expect(errorOf(() => render(source, { messages: [{ role: "user", content: parts }] }))).toMatchObject({
      code: "invalid_request",
      details: { param: "messages[0].content" },
    });
  });
});

describe("messages are made ready for what a template does with them", () => {
  const call = (args: unknown) => ({ id: "c", type: "function", function: { name: "f", arguments: args } });
  const turn = (args: unknown, more: object = {}) => [
    { role: "user", content: "x" },
    { role: "assistant", content: null, tool_calls: [call(args)], ...more },
  ];

  test("no content is an empty string, and none for a template that asks for it", () => {
    const each = (body: string) => `{% for m in messages %}<${body}>{% endfor %}`;
    const messages = turn("{}");
    expect(render(each("{{ m.role + m.content }}"), { messages })).toBe("<userx><assistant>");
    expect(render(each("{{ m.content }}"), { messages })).toBe("<x><>");
    expect(render(each("{{ m.content | trim }}"), { messages })).toBe("<x><>");
    expect(render(each("{% if m['content'] is none %}N{% else %}{{ m.content }}{% endif %}"), { messages })).toBe(
      "<x><N>",
    );
    const alias = each("{% set c = m.content %}{% if c == none %}N{% endif %}");
    expect(render(alias, { messages })).toBe("<><N>");
    const printing = each("{% if m.role == 'user' and m.content is none %}N{% endif %}{{ m.content }}");
    expect(render(printing, { messages })).toBe("<x><>");
    const measuring = each("{% if m.content is none and not m.tool_calls %}N{% endif %}{{ m.content | length }}");
    expect(render(measuring, { messages })).toBe("<1><0>");
    const absent = [{ role: "assistant", tool_calls: [call("{}")] }];
    expect(render(each("{{ m.content + '!' }}"), { messages: absent })).toBe("<!>");
    expect(render(each("{{ m.content + '!' }}"), { messages: [{ role: "assistant", content: null }] })).toBe("<!>");
  });

  test("arguments are the string that they are where the template cannot take an object", () => {
    const args = '{"city": "Oslo", "n": 1.0}';
    const added = "{{ messages[1].tool_calls[0].function.arguments + '!' }}";
    expect(render(added, { messages: turn(args) })).toBe(`${args}!`);
    const printed = "{{ messages[1]['tool_calls'][0]['function']['arguments'] }}";
    expect(render(printed, { messages: turn(args) })).toBe(args);
    expect(render(printed, { messages: turn({ city: "Oslo" }) })).toBe('{"city":"Oslo"}');
    const onlyNone =
      "{% for m in messages %}{% if m.content is none %}{{ 'x' + m.tool_calls[0].function.arguments }}{% endif %}{% endfor %}";
    expect(render(onlyNone, { messages: turn(args) })).toBe(`x${args}`);
    const either =
      "{% set a = messages[1].tool_calls[0].function.arguments %}{{ a if a is string else a | tojson }}|{{ a.city }}";
    expect(render(either, { messages: turn(args) })).toBe(`${args}|Oslo`);
  });

  test("numbers in arguments stay as they were written", () => {
    const args = '{"a": 1.0, "b": 12345678901234567890, "c": 1e-05, "2": 0, "1": 0}';
    const source = "{{ messages[1].tool_calls[0].function.arguments | tojson }}";
    expect(render(source, { messages: turn(args) })).toBe(args);
  });

  test("reasoning is under every name that templates read", () => {
    const source = "{{ messages[1].reasoning }},{{ messages[1].reasoning_content }},{{ messages[1].thinking }}";
    for (const name of ["reasoning", "reasoning_content", "thinking"]) {
      expect(render(source, { messages: turn("{}", { [name]: "r" }) })).toBe("r,r,r");
    }
    const two = turn("{}", { reasoning_content: null, reasoning: "r" });
    expect(render(source, { messages: two })).toBe("r,r,r");
    expect(render(source, { messages: turn("{}", { reasoning: "a", thinking: "b" }) })).toBe("a,b,b");
    expect(render("{{ messages[1].thinking is defined }}", { messages: turn("{}") })).toBe("False");
  });

  test("a developer is the system to a template that knows no other", () => {
    const messages = [
      { role: "developer", content: "d" },
      { role: "user", content: "x" },
    ];
    const source =
      "{% for m in messages %}{% if m.role == 'system' %}S:{% elif m.role == 'user' %}U:{% endif %}{{ m.content }}{% endfor %}";
    expect(render(source, { messages })).toBe("S:dU:x");
    const knowing =
      "{% for m in messages %}{% if m.role in ['system', 'developer'] %}{{ m.role }}:{{ m.content }}{% endif %}{% endfor %}";
    expect(render(knowing, { messages })).toBe("developer:d");
    const dropping =
      "{% for m in messages %}{% if m.role == 'developer' %}{% continue %}{% endif %}{{ m.role }}:{{ m.content }};{% endfor %}";
    expect(render(dropping, { messages })).toBe("system:d;user:x;");
  });

  test("parts stay parts only for the roles whose parts the template goes through", () => {
    const parts = [
      { type: "text", text: "p1" },
      { type: "text", text: "p2" },
    ];
    const source =
      "{% for m in messages %}{% if m.role == 'user' %}{% for c in m.content %}{{ c.text }}{% endfor %}{% else %}{{ m.content }}{% endif %};{% endfor %}";
    const messages = [
      { role: "user", content: parts },
      { role: "user", content: "u" },
      { role: "assistant", content: parts },
      { role: "assistant", content: "", tool_calls: [call("{}")] },
      { role: "tool", tool_call_id: "c", content: parts },
      { role: "tool", tool_call_id: "c", content: "t" },
    ];
    expect(render(source, { messages })).toBe("p1p2;u;p1\np2;;p1\np2;t;");
  });

  test("parts are put together for a template that takes the first only", () => {
    const source =
      "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% elif m.role == 'system' %}{{ m.content[0].text }}{% else %}{% for c in m.content %}{{ c.text }}{% endfor %}{% endif %};{% endfor %}";
    const parts = [
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ];
    const messages = [
      { role: "system", content: parts },
      { role: "user", content: parts },
    ];
    expect(render(source, { messages })).toBe("a\nb;ab;");
  });

  test("a loop over something in the content is no reason for parts", () => {
    const source =
      "{% for m in messages %}{% if m.content is iterable and m.content is not string %}{% for c in m.content %}{% if c.type == 'image' %}I{% endif %}{% endfor %}{% endif %}{{ m.content }}{% endfor %}";
    expect(ChatTemplate.compile(source).contentFormat).toBe("string");
    expect(render(source, { messages: [{ role: "user", content: [{ type: "text", text: "a" }] }] })).toBe("a");
  });
});

describe("a last message that goes on", () => {
  const source = "{% for m in messages %}<{{ m.role }}>{{ m.content TRIM }}</{{ m.role }}>\n{% endfor %}";
  const input = (content: unknown) => ({
    messages: [
      { role: "assistant", content: "Once" },
      { role: "assistant", content },
    ],
    addGenerationPrompt: false,
    continueFinalMessage: true,
  });

  test("ends the prompt where it ends, also where its text comes twice", () => {
    expect(render(source.replace("TRIM", ""), input("Once "))).toBe("<assistant>Once</assistant>\n<assistant>Once ");
  });

  test("loses the white space that the template trims", () => {
    expect(render(source.replace("TRIM", "| trim"), input("Once "))).toEndWith("<assistant>Once");
  });

  test("is refused where the template leaves it out, or where nothing is to go on", () => {
    expect(errorOf(() => render("{{ messages[0].role }}", input("x"))).message).toContain("leaves out");
    expect(errorOf(() => render(source.replace("TRIM", ""), input(null))).message).toContain("no text to continue");
    const both = { ...input("x"), addGenerationPrompt: true };
    expect(errorOf(() => render(source.replace("TRIM", ""), both)).code).toBe("invalid_request");
  });
});

describe("thinking", () => {
  const qwen =
    "{{ messages[0].content }}{% if add_generation_prompt %}<a>{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}";
  const deepseek =
    "{{ messages[0].content }}{% if add_generation_prompt %}<a>{% if thinking %}<think>{% else %}</think>{% endif %}{% endif %}";

  test("is on or off by default as the template has it", () => {
    expect(ChatTemplate.compile(qwen).thinking).toEqual({ variable: "enable_thinking", isOnByDefault: true });
    expect(ChatTemplate.compile(deepseek).thinking).toEqual({ variable: "thinking", isOnByDefault: false });
    expect(ChatTemplate.compile("{{ messages[0].thinking }}").thinking).toEqual({
      variable: undefined,
      isOnByDefault: false,
    });
    const always = "{% if add_generation_prompt %}<think>\n{% endif %}";
    expect(ChatTemplate.compile(always).thinking).toEqual({ variable: undefined, isOnByDefault: true });
  });

  test("has begun where the generation prompt begins it", () => {
    const start = (source: string, input: Partial<TemplateInput>) =>
      ChatTemplate.compile(source).render({ ...HELLO, ...input }).startsInReasoning;
    expect(start(deepseek, { kwargs: { thinking: true } })).toBe(true);
    expect(start(deepseek, {})).toBe(false);
    expect(start(qwen, { kwargs: { enable_thinking: false } })).toBe(false);
    expect(start(qwen, { messages: [{ role: "user", content: "<think>" }], addGenerationPrompt: false })).toBe(false);
    const messages = [{ role: "assistant", content: "<think>so far" }];
    expect(start(qwen, { messages, addGenerationPrompt: false, continueFinalMessage: true })).toBe(true);
  });
});

describe("a template that fails", () => {
  test("says so in its own words", () => {
    expect(errorOf(() => render("{{ raise_exception('roles must alternate') }}"))).toMatchObject({
      code: "invalid_request",
      message: "roles must alternate",
      details: { param: "messages" },
    });
    expect(errorOf(() => render("{{ messages[0].nothing + 1 }}")).message).toContain("fails on these messages");
  });

  test("is refused when it is read, where it cannot be", () => {
    const long = "x".repeat(300_000);
    for (const source of [
      long,
      "{% if %}",
      "{% for x in y %}",
      "{{ 'a",
      `{{ ${"(".repeat(100_000)}1${")".repeat(100_000)} }}`,
      `{{ ${"[".repeat(100_000)} }}`,
    ]) {
      const error = errorOf(() => ChatTemplate.compile(source));
      expect(error).toMatchObject({ code: "invalid_request", details: { param: "chat_template" } });
    }
  });
});

describe("a template without end stops soon", () => {
  const doubling = "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}";
  const nested = (depth: number, body: string): string =>
    "{% for i in range(1000) %}".repeat(depth) + body + "{% endfor %}".repeat(depth);
  const sources: Record<string, string> = {
    "a long range": "{% for i in range(10**9) %}x{% endfor %}",
    "loops in loops": nested(6, "x"),
    "loops in loops of nothing": nested(6, ""),
    "long loops of nothing": "{% for i in range(200000) %}{% for j in range(200000) %}{% endfor %}{% endfor %}",
    "loops that go on and on": nested(6, "{% continue %}"),
    "a string that doubles": `${doubling}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}`,
    "a string that doubles and is thrown away": `${doubling}{% for i in range(17) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{% for i in range(100000) %}{% set x = ns.s[1:] %}{% endfor %}`,
    "a text that is set again and again": "{% set a %}xxxxxxxxxx{% endset %}".concat(
      "{% set a %}{{ a }}{{ a }}{{ a }}{{ a }}{{ a }}{{ a }}{{ a }}{{ a }}{{ a }}{{ a }}{% endset %}".repeat(12),
    ),
    "a list that doubles":
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
    "lists in lists": `{% set a = [1] %}${"{% set a = [a, a, a, a] %}".repeat(60)}{{ a | tojson }}`,
    "lists in lists, written out": `{% set a = [1] %}${"{% set a = [a, a, a, a] %}".repeat(60)}{{ a }}`,
    "lists in lists, compared": `{% set a = [1] %}${"{% set a = [a, a, a, a] %}".repeat(60)}{% set b = [1] %}${"{% set b = [b, b, b, b] %}".repeat(60)}{{ a == b }}`,
    "lists in lists, joined": `{% set a = ['x'] %}${"{% set a = [a, a, a, a] %}".repeat(60)}{{ a | join('') }}`,
    "lists in lists, refused": `{% set a = ['x'] %}${"{% set a = [a, a, a, a] %}".repeat(60)}{{ raise_exception(a) }}`,
    "something that holds itself": "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
    "a macro that calls itself": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "a macro that calls itself twice":
      "{% macro f(x) %}{% if x > 0 %}{{ f(x - 1) }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "macros that call each other":
      "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a join": `${doubling}{% for i in range(14) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ range(100000) | join(ns.s) }}`,
    "a join of one string many times": `${doubling}{% for i in range(14) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{% set l = namespace(l=[ns.s]) %}{% for i in range(17) %}{% set l.l = l.l + l.l %}{% endfor %}{{ l.l | join }}`,
    "a replacement": `${doubling}{% for i in range(16) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | replace('x', ns.s) }}`,
    "a replacement by a method": `${doubling}{% for i in range(16) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{% set f = ns.s['rep' ~ 'lace'] %}{{ f('x', ns.s) }}`,
    "a replacement of nothing": `${doubling}{% for i in range(16) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s.replace('', ns.s) }}`,
    "a split": `${doubling}{% for i in range(18) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s.split('x') }}`,
    "a split at spaces":
      "{% set ns = namespace(s='x ') %}{% for i in range(21) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s.split() }}",
    "an indentation": "{{ 'a\n\nb' | indent(10**9, true, true) }}",
    "an indentation of many lines":
      "{% set ns = namespace(s='\n') %}{% for i in range(21) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | indent(30, true, true) }}",
    "an indentation of JSON": "{{ [[1]] | tojson(indent=10**9) }}",
  };

  for (const [name, source] of Object.entries(sources)) {
    test(name, () => {
      const from = performance.now();
      const error = errorOf(() => ChatTemplate.compile(source).render(HELLO));
      expect(error.code).toBe("invalid_request");
      expect(error.message).toMatch(/wants too much|refuses/);
      expect(performance.now() - from).toBeLessThan(4000);
    });
  }

  test("and one that is long and ends is rendered", () => {
    const messages = Array.from({ length: 1000 }, (_, index) => ({
      role: index % 2 ? "assistant" : "user",
      content: "words ".repeat(50),
    }));
    const source =
      "{% for m in messages %}{% if loop.index0 == messages|length - 1 %}LAST{% endif %}{% if m.content is string and m.content != '' %}<{{ m.role }}>{{ m.content | trim }}{% endif %}{% if 'x' in messages[0].content.split('w')[0] %}{% continue %}{% endif %}{% endfor %}";
    expect(render(source, { messages })).toHaveLength(1000 * 299 + 500 * 17 + 4);
  });
});

describe("templates of a model", () => {
  const templates = new ChatTemplates(
    new Map([
      ["default", "plain"],
      ["tool_use", "tools"],
    ]),
    {},
  );

  test("are chosen by name, or by whether there are tools", () => {
    expect(templates.get().render(HELLO).text).toBe("plain");
    expect(templates.get({ hasTools: true }).render(HELLO).text).toBe("tools");
    expect(templates.get({ name: "default", hasTools: true }).render(HELLO).text).toBe("plain");
  });

  test("that are not there are refused", () => {
    expect(errorOf(() => templates.get({ name: "rag" }))).toMatchObject({
      code: "invalid_request",
      details: { param: "chat_template" },
    });
    expect(errorOf(() => new ChatTemplates(new Map(), {}).get())).toMatchObject({ details: { param: "messages" } });
  });
});

test("an answer that is not to be continued is the user's in the form of some servers", () => {
  const template = ChatTemplate.compile("{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}");
  const messages = [
    { role: "user", content: "u" },
    { role: "assistant", content: "a" },
  ];
  const textForm = { ...OWN_FORM.text, givesLastAnswerToUser: true };
  const rendered = (more: object): string =>
    template.render({ messages, textForm, addGenerationPrompt: true, ...more }).text;
  expect(rendered({})).toBe("[user:u][user:a]");
  expect(rendered({ addGenerationPrompt: false })).toBe("[user:u][assistant:a]");
  expect(rendered({ textForm: OWN_FORM.text })).toBe("[user:u][assistant:a]");
});
