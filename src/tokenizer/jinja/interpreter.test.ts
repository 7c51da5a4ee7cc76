import { describe, expect, test } from "bun:test";
import { parseWithNumbers } from "../../protocol/json/written-numbers.ts";
import { isRecord } from "../../util/objects.ts";
import { dictFromText, fromJson } from "./from-json.ts";
import { createGlobals } from "./globals.ts";
import { Interpreter } from "./interpreter.ts";
import { DEFAULT_BUDGET, Meter, TemplateLimit } from "./meter.ts";
import { parse } from "./parser.ts";
import { Scope } from "./scope.ts";
import { TemplateError, type Value } from "./values.ts";

function run(source: string, variables: Readonly<Record<string, unknown>> = {}): string {
  const meter = new Meter(DEFAULT_BUDGET);
  const scope = new Map<string, Value>(createGlobals(meter, (format) => format));
  for (const [name, value] of Object.entries(variables)) scope.set(name, fromJson(value));
  return new Interpreter(meter).statements.textOf(parse(source).body, new Scope(undefined, scope));
}

/** Results of Python's Jinja2 (3.1.6). `test/tokenizer/jinja.test.ts` has many more. */
const SAME: Readonly<Record<string, readonly (readonly [source: string, text: string])[]>> = {
  "a value's text is Python's": [
    [
      "{{ none }} {{ true }} {{ [none, 'a', 1.5] }} {{ {'a': 1} }} {{ (1,) }} {{ range(2) }}",
      "None True [None, 'a', 1.5] {'a': 1} (1,) range(0, 2)",
    ],
    [
      "{{ none | string }} {{ {'a': 1} | string }} {{ ['string', 'null'] | string }}|{{ nope | string }}|",
      "None {'a': 1} ['string', 'null']||",
    ],
    ["{{ none | trim }}|{{ nope | trim }}|{{ ['string', 'null'] | upper }}", "None||['STRING', 'NULL']"],
    [
      "{{ 1.0 }} {{ 1e-05 }} {{ 1e16 }} {{ 0.1 + 0.2 }} {{ 12345678901234567890 }}",
      "1.0 1e-05 1e+16 0.30000000000000004 12345678901234567890",
    ],
    ["{{ 1.0 | tojson }} {{ [1e-05, none, 'é'] | tojson }}", '1.0 [1e-05, null, "é"]'],
  ],
  "what is missing may be printed, tested and looped over": [
    ["{{ nope }}|{{ nope ~ 'a' }}|{{ nope | upper }}|{{ nope is defined }}|{{ nope | length }}", "|a||False|0"],
    ["{% for a in nope %}a{% else %}none{% endfor %}", "none"],
    ["{{ [] | first | default('q', true) }} {{ [] | last }}|{{ none | selectattr('a') | list }}", "q |[]"],
  ],
  "what is gone through": [
    ["{% for c in 'a😀' %}{{ c }}.{% endfor %} {{ 'a😀' | length }}{{ 'a😀'[1] }}", "a.😀. 2😀"],
    [
      "{% for a, b in [('x', 'y')] %}{{ a }}{{ b }}{% endfor %} {% for k, v in {0: 1} | dictsort %}{{ k }}={{ v }}{% endfor %}",
      "xy 0=1",
    ],
    ["{{ {'a': 1} is iterable }} {{ nope is iterable }} {{ {'a': 1} is mapping }}", "True True True"],
    ["{{ ['a'] in ['b'] }} {{ ['a'] in [['a']] }} {{ 1 in [1.0] }}", "False True True"],
    ["{% set g = [1] | map('string') %}{{ g | list }}{{ g | list }}{{ 'T' if [] | select }}", "['1'][]T"],
  ],
  "numbers and order": [
    [
      "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 2 ** 3 }} {{ -7.5 % 2 }}",
      "3 -4 2 3.5 2.0 8 0.5",
    ],
    ["{{ [3, 1] | min }} {{ [3, 1] | max }} {{ ['b', 'A'] | min }} {{ [1, 2] | sum }}", "1 3 A 3"],
    ["{{ 1 < 2 < 3 }} {{ 'a' < 'B' }} {{ 9007199254740993 + 1 }}", "True False 9007199254740994"],
  ],
  formats: [
    ["{{ '<a{}>'.format('b') }} {{ '%s' | format(3) }} {{ '{:>4}|{:.2f}'.format('a', 1.5) }}", "<ab> 3    a|1.50"],
    ["{{ '%5.2f|%(a)s' % {'a': 1} if false else '%5.2f' % 1.5 }}", " 1.50"],
  ],
  "blocks and white space": [
    ["{% raw %}<|im_start|>{{x}}{% endraw %}", "<|im_start|>{{x}}"],
    ["  {% if true %}\n  a\n  {%+ endif %}\n{# c #}\nb", "  a\n  b"],
    ["{% generation %}a{% set x = 1 %}{% endgeneration %}{{ x }}", "a"],
    [
      "{% with a = 1 %}{{ a }}{% endwith %}{% filter upper %}a{% endfilter %}{% set x | trim %} a {% endset %}{{ x }}",
      "1Aa",
    ],
  ],
};

for (const [name, rows] of Object.entries(SAME)) {
  describe(name, () => {
    for (const [source, text] of rows) test(source, () => expect(run(source)).toBe(text));
  });
}

describe("what Python refuses is refused in its words", () => {
  const refused: readonly (readonly [source: string, message: string])[] = [
    ["{{ 'a' + {'city': 'Oslo'} }}", 'can only concatenate str (not "dict") to str'],
    ["{{ 'a' + none }}", 'can only concatenate str (not "NoneType") to str'],
    ["{{ nope.a }}", "'nope' is undefined"],
    ["{{ {}.a.b }}", "'dict object' has no attribute 'a'"],
    ["{{ none | length }}", "object of type 'NoneType' has no len()"],
    ["{{ [1].append(2) }}", "append() would change a value, which templates cannot"],
    ["{% for x in none %}{% endfor %}", "'NoneType' object is not iterable"],
    ["{{ 1 < 'a' }}", "'<' not supported between instances of 'int' and 'str'"],
    ["{{ 'a' | nosuch }}", "there is no filter named 'nosuch'"],
  ];
  for (const [source, message] of refused) {
    test(source, () => expect(() => run(source)).toThrow(new TemplateError(message)));
  }
});

describe("values of JSON", () => {
  test("are written as they came, from a text or from a body", () => {
    const text = '{"a": 1.0, "b": 12345678901234567890, "c": 1e-05, "10": 1, "9": [2.50, {"d": -0.0}]}';
    const right = '{"a": 1.0, "b": 12345678901234567890, "c": 1e-05, "10": 1, "9": [2.5, {"d": -0.0}]}';
    expect(run("{{ x | tojson }}", { x: dictFromText(text) })).toBe(right);
    const big = "[100000000000000000000, -9007199254740992, 1e+20, 2e+21]";
    expect(run("{{ x | tojson }}", { x: parseWithNumbers(big) })).toBe(big);
    const body = parseWithNumbers('{"x": {"a": 1.0, "b": [12345678901234567890, 3], "c": 1e2}}');
    expect(run("{{ x | tojson }}", isRecord(body) ? body : {})).toBe(
      '{"a": 1.0, "b": [12345678901234567890, 3], "c": 100.0}',
    );
    expect(dictFromText("{oops")).toBeUndefined();
    expect(dictFromText("[1]")).toBeUndefined();
  });

  test("in a member that is null is none, and one that is not there is undefined", () => {
    const source = "{{ x.a is none }}{{ x.b is none }}{{ x.b is defined }}{{ x.get('a', 1) }}{{ x.get('b', 1) }}";
    expect(run(source, { x: { a: null } })).toBe("TrueFalseFalseNone1");
  });
});

function thrownBy(source: string): unknown {
  try {
    run(source);
  } catch (thrown) {
    return thrown instanceof Error ? thrown.constructor : thrown;
  }
  return undefined;
}

describe("bounds", () => {
  test("hold for each operation that could make much of little", () => {
    for (const source of [
      "{{ 'x' * 10 ** 9 }}",
      "{{ [1] * 10 ** 9 }}",
      "{{ 'x'.center(10 ** 9) }}",
      "{{ 'x' | center(10 ** 9) }}",
      "{{ 'x'.zfill(10 ** 9) }}",
      "{{ 'x\t'.expandtabs(10 ** 9) }}",
      "{{ range(10 ** 9) | list }}",
      "{{ [1] | slice(10 ** 9) | list }}",
      "{{ [[1]] | tojson(indent=10 ** 9) }}",
      "{{ 'a' | indent(10 ** 9) }}",
    ]) {
      expect({ source, thrown: thrownBy(source) }).toEqual({ source, thrown: TemplateLimit });
    }
    for (const source of ["{{ '%1000000000d' % 1 }}", "{{ '{:1000000000}'.format(1) }}", "{{ 10 ** (10 ** 9) }}"]) {
      expect(() => run(source)).toThrow(TemplateError);
    }
  });

  test("do not stand in the way of long white space, which was slow to read once", () => {
    expect(run(`${" ".repeat(200_000)}{% if true %}a{% endif %}`)).toHaveLength(1);
  });
});
