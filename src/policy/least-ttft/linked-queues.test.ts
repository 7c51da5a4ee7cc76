import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Linked, LinkedQueues } from "./linked-queues.ts";

class Item implements Linked<Item> {
  before: Item | undefined;
  after: Item | undefined;
}

test("whatever comes and leaves in whatever order, the head is the oldest that is left", () => {
  const step = fc.record({ slot: fc.nat(2), leaves: fc.option(fc.nat(20), { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const queues = new LinkedQueues<Item>();
      const model: Item[][] = [[], [], []];
      for (const { slot, leaves } of steps) {
        const queue = model[slot] ?? [];
        if (leaves === undefined) {
          const item = new Item();
          queues.push(slot, item);
          queue.push(item);
        } else {
          const [item] = queue.splice(leaves % Math.max(1, queue.length), 1);
          if (item) queues.remove(slot, item);
        }
        for (const [each, items] of model.entries()) expect(queues.head(each)).toBe(items[0]);
      }
    }),
  );
});

test("what has left leaves once more without harm", () => {
  const queues = new LinkedQueues<Item>();
  const [one, two] = [new Item(), new Item()];
  queues.push(0, one);
  queues.push(0, two);
  queues.remove(0, one);
  queues.remove(0, one);
  expect(queues.head(0)).toBe(two);
  queues.clear(0);
  queues.remove(0, two);
  expect(queues.head(0)).toBeUndefined();
});
