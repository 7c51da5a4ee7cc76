import { expect, test } from "bun:test";
import {
  askBoth,
  bootstrap,
  CHAT,
  firstPair,
  type NativeAnswer,
  nextRoom,
  QUESTION,
  read,
  send,
} from "../support/pd-client.ts";
import { answerText, startPdFleet } from "../support/pd-engines.ts";

test("a pair answers what one engine answers, and the prompt's KV moves", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  const { prefilled, decoded } = await askBoth(fleet, CHAT, QUESTION);
  expect([prefilled.status, decoded.status]).toEqual([200, 200]);
  const answer = await read(decoded);
  expect(answerText(answer)).toBe(await fleet.referenceText(CHAT, QUESTION));
  expect(fleet.kvTokens).toBe(answer.usage.prompt_tokens);
  expect(fleet.violations).toEqual([]);
  const { prefill, decode } = firstPair(fleet);
  expect(prefill.heldTokens).toBe(0);
  const sequences = [prefill, decode].map(({ record }) => record.exchanges[0]?.sequence);
  expect(new Set(sequences).size).toBe(2);
});

test("a prefill engine answers when its partner has asked for the room, and not before", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  const { prefill, decode } = firstPair(fleet);
  const body = { ...QUESTION, ...bootstrap(prefill) };
  const first = send(prefill, CHAT, body);
  while (prefill.heldTokens === 0) await Bun.sleep(1);
  expect(await Promise.race([first, Bun.sleep(30).then(() => "waits")])).toBe("waits");
  expect((await send(decode, CHAT, body)).status).toBe(200);
  expect((await first).status).toBe(200);
  expect(fleet.violations).toEqual([]);
});

test("a streamed answer is the whole one in pieces", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  const { prefilled, decoded } = await askBoth(fleet, CHAT, { ...QUESTION, stream: true });
  const [stream, first] = await Promise.all([decoded.text(), prefilled.text()]);
  const pieces = [...stream.matchAll(/"content":"([^"]*)"/g)].map(([, piece]) => piece);
  expect(pieces.join("")).toBe(await fleet.referenceText(CHAT, QUESTION));
  expect(stream).toEndWith("data: [DONE]\n\n");
  expect(first).toEndWith("data: [DONE]\n\n");
  expect(fleet.violations).toEqual([]);
});

test("a batch has a room for each prompt, and its answers are those of one engine", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  const { prefill } = firstPair(fleet);
  const body = { text: ["north", "south"], sampling_params: { max_new_tokens: 5 } };
  const lists = {
    bootstrap_host: ["127.0.0.1", "127.0.0.1"],
    bootstrap_port: [prefill.kvPort, prefill.kvPort],
    bootstrap_room: [nextRoom(), nextRoom()],
  };
  const { decoded } = await askBoth(fleet, "/generate", body, lists);
  const answers = await read<NativeAnswer[]>(decoded);
  expect(answers).toHaveLength(2);
  expect(answerText(answers)).toBe(await fleet.referenceText("/generate", body));
  expect(fleet.violations).toEqual([]);
});

test("two samples have two rooms, whole and streamed", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  const { prefill } = firstPair(fleet);
  const body = { ...QUESTION, n: 2 };
  for (const stream of [false, true]) {
    const lists = {
      bootstrap_host: ["127.0.0.1", "127.0.0.1"],
      bootstrap_port: [prefill.kvPort, prefill.kvPort],
      bootstrap_room: [nextRoom(), nextRoom()],
    };
    const { prefilled, decoded } = await askBoth(fleet, CHAT, { ...body, stream }, lists);
    const [first, text] = await Promise.all([prefilled.text(), decoded.text()]);
    expect([prefilled.status, decoded.status, first.length > 0]).toEqual([200, 200, true]);
    const told = stream
      ? [0, 1].map((index) =>
          [...text.matchAll(new RegExp(`"index":${index},"delta":\\{"content":"([^"]*)"`, "g"))]
            .map(([, piece]) => piece)
            .join(""),
        )
      : [answerText(JSON.parse(text))];
    expect(told.join("\n")).toBe(await fleet.referenceText(CHAT, body));
  }
  expect(fleet.violations).toEqual([]);
});

test("a prefill engine takes null for its own port, a decode engine does not know it", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang", waitMs: 200 });
  const { prefill } = firstPair(fleet);
  const { prefilled } = await askBoth(
    fleet,
    CHAT,
    QUESTION,
    { bootstrap_port: null },
    { bootstrap_port: prefill.kvPort },
  );
  expect(prefilled.status).toBe(200);
  const { decoded } = await askBoth(fleet, CHAT, QUESTION, { bootstrap_port: null });
  expect(decoded.status).toBe(500);
});

test("log probabilities of the prompt come from the prefill engine alone", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  const body = { text: "which platform", return_logprob: true, logprob_start_len: 0 };
  const { prefilled, decoded } = await askBoth(fleet, "/generate", body);
  const first = await read<NativeAnswer>(prefilled);
  const second = await read<NativeAnswer>(decoded);
  const single = await read<NativeAnswer>(send(fleet.single, "/generate", body));
  expect(second.meta_info.input_token_logprobs).toEqual([]);
  expect(first.meta_info.input_token_logprobs).toEqual(single.meta_info.input_token_logprobs);
  expect(single.meta_info.input_token_logprobs).toHaveLength(single.meta_info.prompt_tokens);
  expect(second.meta_info.output_token_logprobs).toEqual(single.meta_info.output_token_logprobs);
});

const REFUSED: readonly [title: string, more: object, message: string][] = [
  ["without a room", { bootstrap_room: undefined }, "without bootstrap room id"],
  ["a room in quotes", { bootstrap_room: "17" }, "must be an integer"],
  ["a room of 64 bits", { bootstrap_room: 9223372036854775808n }, "does not fit 63 bits"],
  ["a negative room", { bootstrap_room: -1 }, "does not fit 63 bits"],
  ["without a host", { bootstrap_host: undefined }, "bootstrap_host is missing"],
  ["one room for two samples", { n: 2 }, "must be a list"],
  ["a list that is too short", { n: 2, bootstrap_host: ["127.0.0.1"] }, "must be a list"],
];

for (const [title, more, message] of REFUSED) {
  test(`both engines refuse ${title}`, async () => {
    await using fleet = await startPdFleet({ dialect: "sglang", waitMs: 200 });
    const { prefilled, decoded } = await askBoth(fleet, CHAT, QUESTION, more);
    expect([prefilled.status, decoded.status]).toEqual([400, 400]);
    expect(await decoded.text()).toContain(message);
    expect(fleet.violations).toHaveLength(2);
  });
}

test("equal rooms in a batch, and a room that was used before, are refused", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  const { prefill } = firstPair(fleet);
  const room = nextRoom();
  const twice = {
    bootstrap_host: ["127.0.0.1", "127.0.0.1"],
    bootstrap_port: [prefill.kvPort, prefill.kvPort],
    bootstrap_room: [room, room],
  };
  expect((await askBoth(fleet, CHAT, { ...QUESTION, n: 2 }, twice)).decoded.status).toBe(400);
  expect((await askBoth(fleet, CHAT, QUESTION, bootstrap(prefill, room))).decoded.status).toBe(200);
  const again = await askBoth(fleet, CHAT, QUESTION, bootstrap(prefill, room));
  expect([again.prefilled.status, again.decoded.status]).toEqual([400, 400]);
  expect(await again.decoded.text()).toContain("used before");
});

test("a decode engine that is told another room, host or port gets no KV", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang", waitMs: 200 });
  const [, other] = fleet.prefills;
  const wrong: readonly [object, string][] = [
    [{ bootstrap_room: nextRoom() + 1000n }, "was never asked for"],
    [{ bootstrap_port: other?.kvPort }, "was never asked for"],
    [{ bootstrap_port: 1 }, "no engine hands over KV"],
    [{ bootstrap_port: null }, "no engine hands over KV at 127.0.0.1:8998"],
    [{ bootstrap_host: "127.0.0.2" }, "no engine hands over KV"],
  ];
  for (const [more, message] of wrong) {
    const before = fleet.violations.length;
    const { decoded } = await askBoth(fleet, CHAT, QUESTION, {}, more);
    expect(decoded.status).toBe(500);
    expect(await decoded.text()).toContain(message);
    expect(fleet.violations.length).toBeGreaterThan(before);
  }
});

test("one leg after the other does not work: each waits for its partner", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang", waitMs: 150 });
  const { prefill, decode } = firstPair(fleet);
  const body = { ...QUESTION, ...bootstrap(prefill) };
  const first = await send(prefill, CHAT, body);
  expect(first.status).toBe(500);
  expect(await first.text()).toContain("both legs go out at the same time");
  const second = await send(decode, CHAT, { ...QUESTION, ...bootstrap(prefill) });
  expect(second.status).toBe(500);
  expect(fleet.violations).toHaveLength(2);
});

test("a decode engine with another prompt than the prefill engine's is refused", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang" });
  const { prefilled, decoded } = await askBoth(fleet, "/generate", { text: "north" }, {}, { text: "south" });
  expect([prefilled.status, decoded.status]).toEqual([500, 400]);
  expect(fleet.violations).toEqual(["the prompt is not the one that was prefilled"]);
});

test("with several ranks both engines must mean the same one", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang", dpSize: 4, waitMs: 200 });
  let room = nextRoom();
  const rank = Number(room % 4n);
  const other = (rank + 1) % 4;
  const { prefill } = firstPair(fleet);
  const status = async (prefillMore: object, decodeMore: object): Promise<number[]> => {
    room += 4n;
    const same = bootstrap(prefill, room);
    const { prefilled, decoded } = await askBoth(fleet, CHAT, QUESTION, { ...same, ...prefillMore }, decodeMore);
    return [prefilled.status, decoded.status];
  };
  expect(await status({}, {})).toEqual([200, 200]);
  expect(await status({ routed_dp_rank: rank }, { routed_dp_rank: 2, disagg_prefill_dp_rank: rank })).toEqual([
    200, 200,
  ]);
  expect(fleet.violations).toEqual([]);
  // The sender checks that its rank is the room's.
  expect((await status({ routed_dp_rank: other }, { routed_dp_rank: 0 }))[0]).toBe(400);
  expect((await status({ routed_dp_rank: rank }, { disagg_prefill_dp_rank: other }))[1]).toBe(400);
  expect((await status({ routed_dp_rank: 4 }, { routed_dp_rank: 0 }))[0]).toBe(400);
  expect((await status({}, { disagg_prefill_dp_rank: 4 }))[1]).toBe(400);
});

test("an engine tells its part, its bootstrap port and its ranks", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang", dpSize: 2 });
  const { prefill, decode } = firstPair(fleet);
  for (const path of ["/get_server_info", "/server_info"]) {
    const info = await read<object>(fetch(`${prefill.url}${path}`));
    expect(info).toMatchObject({
      disaggregation_mode: "prefill",
      disaggregation_bootstrap_port: prefill.kvPort,
      dp_size: 2,
      load_balance_method: "follow_bootstrap_room",
    });
  }
  const { loads } = await read<{ loads: { dp_rank: number; disaggregation: { mode: string } }[] }>(
    fetch(`${decode.url}/v1/loads`),
  );
  expect(loads.map((load) => [load.dp_rank, load.disaggregation.mode])).toEqual([
    [0, "decode"],
    [1, "decode"],
  ]);
});

test("a client that goes while the legs wait is noticed by both", async () => {
  await using fleet = await startPdFleet({ dialect: "sglang", waitMs: 5000 });
  const { prefill, decode } = firstPair(fleet);
  const leaving = new AbortController();
  // Rooms that differ: both legs wait.
  const legs = [
    send(prefill, CHAT, { ...QUESTION, ...bootstrap(prefill) }, { signal: leaving.signal }),
    send(decode, CHAT, { ...QUESTION, ...bootstrap(prefill) }, { signal: leaving.signal }),
  ];
  while ([prefill, decode].some(({ record }) => record.exchanges.length === 0)) await Bun.sleep(1);
  leaving.abort();
  await Promise.allSettled(legs);
  while (![prefill, decode].every(({ record }) => record.exchanges[0]?.isAborted)) await Bun.sleep(1);
  expect(fleet.violations).toEqual([]);
});
