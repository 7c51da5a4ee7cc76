import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GatewayError } from "../../errors/errors.ts";
import { BodyFramer, bytesOf } from "./body-framer.ts";

const malformed = (what: string): GatewayError => new GatewayError("malformed_request", what);

interface Framed {
  readonly body: string;
  readonly rest: string;
  readonly isDone: boolean;
}

/** Feeds the pieces, each in memory of its own, and what comes behind the end as its owner would. */
function feed(framer: BodyFramer, pieces: readonly string[]): Framed {
  const body: Buffer[] = [];
  let rest = "";
  for (const piece of pieces) {
    const wasDone = framer.isDone;
    framer.push(Buffer.from(piece, "latin1"));
    // Copied at once: nothing else may be relied on to look at it later.
    body.push(Buffer.from(bytesOf(framer)));
    if (wasDone || framer.isDone) rest += framer.rest.toString("latin1");
  }
  return { body: Buffer.concat(body).toString("latin1"), rest, isDone: framer.isDone };
}

function chunked(...pieces: readonly string[]): Framed {
  return feed(BodyFramer.chunked(malformed), pieces);
}

function refusal(...pieces: readonly string[]): string | undefined {
  try {
    chunked(...pieces);
  } catch (error) {
    if (error instanceof GatewayError) return error.message;
    throw error;
  }
  return undefined;
}

function cut(text: string, places: readonly number[]): string[] {
  const at = [0, ...places.map((place) => Math.min(place, text.length)).sort((a, b) => a - b), text.length];
  return at.slice(1).map((end, index) => text.slice(at[index], end));
}

const latin1 = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const cuts = fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 20 });
/** Bytes behind the end that look like more of the same, too. */
const behind = fc.oneof(
  latin1(40),
  fc.constantFrom("", "\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "GET / HTTP/1.1\r\n\r\n"),
);
const extension = fc.constantFrom("", ";a", ";a=b", ';a="b c"', "; x");
const wire = fc
  .record({
    chunks: fc.array(fc.record({ data: latin1(300).filter((data) => data !== ""), extension, zeros: fc.nat(4) }), {
      maxLength: 8,
    }),
    isUpper: fc.boolean(),
    last: fc.constantFrom("0", "00", "000", "0;x"),
    trailers: fc.array(fc.constantFrom("x-a: 1", "checksum: abc", "X-B:"), { maxLength: 3 }),
  })
  .map(({ chunks, isUpper, last, trailers }) => ({
    body: chunks.map(({ data }) => data).join(""),
    text: [
      ...chunks.map(({ data, extension, zeros }) => {
        const size = data.length.toString(16);
        return `${"0".repeat(zeros)}${isUpper ? size.toUpperCase() : size}${extension}\r\n${data}\r\n`;
      }),
      `${last}\r\n`,
      ...trailers.map((line) => `${line}\r\n`),
      "\r\n",
    ].join(""),
  }));

describe("whatever its bytes, however it was cut, and whatever comes behind it", () => {
  test("a body in chunks comes out the same, and the rest is the rest", () => {
    fc.assert(
      fc.property(wire, behind, cuts, ({ body, text }, after, places) => {
        expect(chunked(...cut(text + after, places))).toEqual({ body, rest: after, isDone: true });
      }),
      { numRuns: 400 },
    );
  });

  test("a body in chunks cut after each of its bytes comes out the same", () => {
    fc.assert(
      fc.property(wire, behind, ({ body, text }, after) => {
        expect(chunked(...(text + after).split(""))).toEqual({ body, rest: after, isDone: true });
      }),
      { numRuns: 60 },
    );
  });

  test("a body of a known length comes out the same", () => {
    fc.assert(
      fc.property(latin1(300), behind, cuts, (body, after, places) => {
        const framer = BodyFramer.ofLength(body.length, malformed);
        expect(feed(framer, cut(body + after, places))).toEqual({ body, rest: after, isDone: true });
      }),
    );
  });

  test("a body in chunks is not whole before the last of its bytes", () => {
    fc.assert(
      fc.property(wire, fc.nat(), ({ text }, place) => {
        const framer = BodyFramer.chunked(malformed);
        feed(framer, [text.slice(0, place % text.length)]);
        expect([framer.isDone, framer.end()]).toEqual([false, false]);
      }),
    );
  });
});

test("what was shown of one piece is not changed by the next", () => {
  const framer = BodyFramer.chunked(malformed);
  const shown: Buffer[] = [];
  for (const piece of ["3\r\nabc\r\n2\r", "\nde\r\n1\r\nf\r\n4\r\ngh", "ij\r\n0\r\n\r\nrest"]) {
    framer.push(Buffer.from(piece));
    shown.push(bytesOf(framer));
  }
  expect([shown.map(String), String(framer.rest)]).toEqual([["abc", "defgh", "ij"], "rest"]);
});

describe("what is missing", () => {
  test("is told of a body whose length was told, until it is there", () => {
    const framer = BodyFramer.ofLength(5, malformed);
    expect([framer.missing, framer.isDone]).toEqual([5, false]);
    framer.push(Buffer.from("abc"));
    expect([framer.missing, framer.isDone, framer.end()]).toEqual([2, false, false]);
    framer.push(Buffer.from("de"));
    expect([framer.isDone, framer.end(), framer.rest.length]).toEqual([true, true, 0]);
  });

  test("is not known of chunks, nor of a body that lasts until the end", () => {
    const chunks = BodyFramer.chunked(malformed);
    chunks.push(Buffer.from("5\r\nab"));
    expect(chunks.missing).toBe(Number.POSITIVE_INFINITY);
    expect(BodyFramer.untilClose(malformed).missing).toBe(Number.POSITIVE_INFINITY);
  });

  test("is nothing of a body of no bytes", () => {
    expect(BodyFramer.ofLength(0, malformed).isDone).toBe(true);
  });
});

test("a body that lasts until the end is whole at the end", () => {
  const framer = BodyFramer.untilClose(malformed);
  expect(feed(framer, ["ab", "0\r\n\r\n"])).toEqual({ body: "ab0\r\n\r\n", rest: "", isDone: false });
  expect([framer.end(), framer.isDone]).toEqual([true, true]);
});

describe("trailers", () => {
  test("are read over", () => {
    expect(chunked("2\r\nok\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\nbehind")).toEqual({
      body: "ok",
      rest: "behind",
      isDone: true,
    });
  });

  for (const line of [
    "content-length: 5",
    "Transfer-Encoding: chunked",
    "HOST: other",
    "x-a",
    "x-a : 1",
    " folded",
    ": 1",
    "x-a: a\0b",
  ]) {
    test(`with the line ${JSON.stringify(line)} are refused`, () => {
      expect(refusal(`2\r\nok\r\n0\r\nx-a: 1\r\n${line}\r\n\r\n`)).toBeDefined();
    });
  }

  test("may take 16 KiB with their line ends, in one line or in many", () => {
    const line = `x: ${"a".repeat(1019)}\r\n`;
    expect(line.length).toBe(1024);
    expect(refusal(`0\r\n${line.repeat(16)}\r\n`)).toBeUndefined();
    expect(refusal(`0\r\n${line.repeat(16)}x\r\n\r\n`)).toBe("chunk line too long");
    expect(refusal("0\r\n", ...(`x: ${"a".repeat(16_400)}`.match(/.{1,4000}/g) ?? []))).toBe("chunk line too long");
  });
});

describe("a chunk", () => {
  const bad: Record<string, string> = {
    "without a size": "\r\nhello\r\n",
    "whose size is no number": "ZZ\r\n",
    "whose size has a sign": "+5\r\nhello\r\n",
    "whose size has a prefix": "0x5\r\nhello\r\n",
    "with a space before its size": " 5\r\nhello\r\n",
    "with a space behind its size": "5 \r\nhello\r\n",
    "with a size of 13 digits": "0000000000005\r\nhello\r\n",
    "whose size is that of all memory": "ffffffffffffffff\r\n",
    "whose size line ends in a line feed alone": "5\nhello\r\n",
    "with a carriage return in its extension": "5;a\rb\r\nhello\r\n",
    "with an extension without a name": "5;\r\nhello\r\n",
    "with an extension of spaces": "5; \t\r\nhello\r\n",
    "with an extension that is a value": "5;=a\r\nhello\r\n",
    "with an empty extension before another": "5;;a\r\nhello\r\n",
    "with a NUL in its extension": "5;a=\0\r\nhello\r\n",
    "that is longer than its size": "2\r\nhello\r\n",
    "that is shorter than its size": "7\r\nhello\r\n0\r\n\r\n",
    "that ends in a line feed alone": "5\r\nhello\n0\r\n\r\n",
    "that ends in carriage returns": "5\r\nhello\r\r\n0\r\n\r\n",
    "of nothing that ends in a line feed alone": "0\r\n\n",
  };
  for (const [name, text] of Object.entries(bad)) {
    test(`${name} is refused, in one piece and byte for byte`, () => {
      expect([refusal(text) !== undefined, refusal(...text.split("")) !== undefined]).toEqual([true, true]);
    });
  }

  test("may have a size line of 256 bytes, and no more", () => {
    const line = (length: number): string => `2;${"a".repeat(length - 2)}`;
    expect(chunked(`${line(256)}\r\nok\r\n0\r\n\r\n`).body).toBe("ok");
    expect(refusal(`${line(257)}\r\nok\r\n0\r\n\r\n`)).toBe("chunk line too long");
    expect(refusal(line(300))).toBe("chunk line too long");
    expect(refusal(...line(300).split(""))).toBe("chunk line too long");
  });

  test("may have a size line of 256 bytes also where it is cut between its CR and its LF", () => {
    const line = `2;${"a".repeat(254)}`;
    expect(refusal(`${line}\r`, "\nok\r\n0\r\n\r\n")).toBeUndefined();
  });

  test("may have extensions, of 16 KiB in all chunks together besides 16 bytes a line", () => {
    const line = `1;${"a".repeat(254)}\r\nx\r\n`;
    expect(chunked(`${line.repeat(68)}0\r\n\r\n`).body).toBe("x".repeat(68));
    expect(refusal(line.repeat(69))).toBe("too many chunk extensions");
    expect(refusal(...(line.repeat(69).match(/.{1,100}/gs) ?? []))).toBe("too many chunk extensions");
  });

  test("of a byte each may be as many as there are bytes", () => {
    expect(chunked(`${"1\r\nx\r\n".repeat(100_000)}0\r\n\r\n`).body.length).toBe(100_000);
  });

  test("may be larger than what can be held, as long as nobody has to hold it", () => {
    const framer = BodyFramer.chunked(malformed);
    framer.push(Buffer.from("fffffffff\r\nabc"));
    expect([String(bytesOf(framer)), framer.isDone]).toEqual(["abc", false]);
  });
});
