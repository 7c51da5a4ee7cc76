import { describe, expect, test } from "bun:test";
import { parse } from "../jinja/parser.ts";
import { traitsOf } from "./template-source.ts";

describe("a template goes through the parts of a content", () => {
  const loops = [
    "{% for part in message.content %}{% endfor %}",
    "{% for part in message['content'] %}{% endfor %}",
    "{% for part in message.content | reverse %}{% endfor %}",
    "{% for m in messages %}{% if m %}{% for part in content %}{% endfor %}{% endif %}{% endfor %}",
    "{% set body = message.content %}{% for part in body %}{% endfor %}",
    "{% macro show(content) %}{% for part in content %}{% endfor %}{% endmacro %}",
  ];
  for (const source of loops) test(source, () => expect(traitsOf(parse(source)).loopsOverContent).toBe(true));
});

describe("a template goes through something else", () => {
  const others = [
    "{% for m in messages %}{{ m.content }}{% endfor %}",
    "{% for part in message.content.parts %}{% endfor %}",
    "{{ 'for part in content' }}",
  ];
  for (const source of others) test(source, () => expect(traitsOf(parse(source)).loopsOverContent).toBe(false));
});

test("a template asks whether a content is none, in each way to ask", () => {
  const asks = (source: string): boolean => traitsOf(parse(source)).asksForNone;
  expect(asks("{% if message.content is none %}{% endif %}")).toBe(true);
  expect(asks("{% if message.content is not none %}{% endif %}")).toBe(true);
  expect(asks("{% if message['content'] == None %}{% endif %}")).toBe(true);
  expect(asks("{% if message.role is none %}{% endif %}")).toBe(false);
  expect(asks("{% if message.content == '' %}{% endif %}")).toBe(false);
});

test("a template knows the developer where the word is a value in it", () => {
  const knows = (source: string): boolean => traitsOf(parse(source)).knowsDeveloper;
  expect(knows("{% if message.role in ['system', 'developer'] %}{% endif %}")).toBe(true);
  expect(knows("developer")).toBe(false);
});
