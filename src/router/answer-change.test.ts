import { describe, expect, test } from "bun:test";
import type { Instead, Verdict } from "../transport/sse-framer.ts";
import { type AnswerChange, type ChangedEvent, changeEvent, type ReadEvent } from "./answer-change.ts";

/** A change whose events come to this. */
function change(event: AnswerChange["event"], marker?: string): AnswerChange {
  return { marker, readsText: true, event, whole: (body) => body };
}

const to = (data: string | undefined, before: readonly string[] = []): ChangedEvent => ({
  before,
  data,
  value: undefined,
});

interface Outcome {
  readonly verdict: Verdict | Instead;
  /** What was read, and what was told as written. */
  readonly read: readonly string[];
  readonly written: readonly string[];
}

function outcomeOf(changes: readonly AnswerChange[], data: string, text = `data: ${data}\n\n`, says: Verdict = "pass") {
  const read: string[] = [];
  const written: string[] = [];
  const readEvent: ReadEvent = (_name, one) => {
    read.push(one);
    return says;
  };
  const verdict = changeEvent(changes, { name: undefined, data, text }, readEvent, (json) => written.push(json));
  return { verdict, read, written } satisfies Outcome;
}

const textOf = (verdict: Verdict | Instead): string | undefined =>
  typeof verdict === "string" ? undefined : Buffer.from(verdict.bytes).toString();

describe("an event", () => {
  test("that no change touches passes as it is", () => {
    expect(outcomeOf([change(() => undefined)], "{}")).toEqual({ verdict: "pass", read: ["{}"], written: [] });
    expect(outcomeOf([change((data) => to(data))], "{}").verdict).toBe("pass");
  });

  test("is given only to changes whose marker it has", () => {
    const seen: string[] = [];
    const note = (data: string): undefined => void seen.push(data);
    outcomeOf([change(note, '"n"')], '{"m":1}');
    outcomeOf([change(note, '"n"')], '{"n":1}');
    expect(seen).toEqual(['{"n":1}']);
  });

  test("goes through the changes one after the other, and is read as the last one leaves it", () => {
    const add = (letter: string): AnswerChange => change((data) => to(data + letter));
    const { verdict, read } = outcomeOf([add("b"), add("c")], "a");
    expect([textOf(verdict), read]).toEqual(["data: abc\n\n", ["abc"]]);
  });

  test("keeps its other lines, also where they have the same text", () => {
    const { verdict } = outcomeOf([change(() => to("2"))], "1", "event: 1\r\nid: 1\r\ndata: 1\r\n\r\n");
    expect(textOf(verdict)).toBe("event: 1\r\nid: 1\r\ndata: 2\r\n\r\n");
  });

  test("with data in several lines is left alone", () => {
    const { verdict, read } = outcomeOf([change(() => to("x"))], "1\n2", "data: 1\ndata: 2\n\n");
    expect([verdict, read]).toEqual(["pass", ["1\n2"]]);
  });

  test("is parsed once where a change has parsed it", () => {
    const values: unknown[] = [];
    const parsed = { a: 1 };
    const changes = [change((data) => ({ before: [], data, value: parsed }))];
    changeEvent(changes, { name: undefined, data: "{}", text: "" }, (_name, _data, value) => {
      values.push(value);
      return "pass";
    });
    expect(values).toEqual([parsed]);
  });
});

describe("events that a change writes", () => {
  test("come before the event, are counted, and are not read", () => {
    const { verdict, read, written } = outcomeOf([change((data) => to(data, ["1", "2"]))], "3");
    expect([textOf(verdict), read, written]).toEqual(["data: 1\n\ndata: 2\n\ndata: 3\n\n", ["3"], ["1", "2"]]);
    expect(verdict).toMatchObject({ events: 3, isLast: false });
  });

  test("pass where the event itself is left out", () => {
    const { verdict, read } = outcomeOf([change(() => to(undefined, ["1"]))], "3");
    expect([textOf(verdict), read]).toEqual(["data: 1\n\n", []]);
    expect(verdict).toMatchObject({ events: 1, isLast: false });
    expect(outcomeOf([change(() => to(undefined))], "3").verdict).toBe("drop");
  });

  test("pass before the end marker, which ends the stream and is no event", () => {
    const { verdict } = outcomeOf([change((data) => to(data, ["1"]))], "[DONE]", undefined, "last");
    expect(textOf(verdict)).toBe("data: 1\n\ndata: [DONE]\n\n");
    expect(verdict).toMatchObject({ events: 1, isLast: true });
  });

  test("pass before an event that ends the stream and is not shown", () => {
    const { verdict } = outcomeOf([change((data) => to(data, ["1"]))], "{}", undefined, "stop");
    expect(textOf(verdict)).toBe("data: 1\n\n");
    expect(verdict).toMatchObject({ events: 1, isLast: true });
  });
});

test("an event that tells nothing of the answer passes changed and is not counted", () => {
  expect(outcomeOf([change(() => to("x"))], "y", undefined, "aside").verdict).toMatchObject({ events: 0 });
});
