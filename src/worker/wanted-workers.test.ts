import { expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { WantedWorkers } from "./wanted-workers.ts";

test("of workers that requests want, those that are down and not cordoned are asked for, once a second however many requests there are", () => {
  const { clock, registry, add } = setUpFleet();
  const asked: (readonly string[])[] = [];
  const wanted = new WantedWorkers(clock, { wanted: (ids) => asked.push(ids) });
  const down = add("http://down:1", { modelId: "m" }, false);
  add("http://cordoned:1", { modelId: "m", isCordoned: true }, false);
  const other = add("http://other:1", { modelId: "n" }, false);
  for (let count = 0; count < 100; count += 1) {
    wanted.ask(registry.getWorkersForModel("m"));
    wanted.ask(registry.getWorkersForModel("n"));
  }
  expect(asked).toEqual([[down.id], [other.id]]);
  clock.advance(1000);
  wanted.ask(registry.getWorkersForModel("m"));
  expect(asked.slice(2)).toEqual([[down.id]]);
});

test("where a worker is ready that cannot take a request for another reason, nobody is asked for", () => {
  const { clock, registry, add } = setUpFleet();
  const asked: (readonly string[])[] = [];
  add("http://cordoned:1", { modelId: "m", isCordoned: true });
  new WantedWorkers(clock, { wanted: (ids) => asked.push(ids) }).ask(registry.getWorkersForModel("m"));
  expect(asked).toEqual([]);
});
