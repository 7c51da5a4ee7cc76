import type { Candidate, Random } from "../policy.ts";
import type { CandidatePlaces } from "../candidate-places.ts";
import { MOST_FOUND, type PrefixIndex } from "../prefix-index.ts";
import { MOST_COMPARED } from "./weighed.ts";

/** In a fleet of more than MOST_COMPARED workers so many are compared: at least half of them at random, and the others by the prompt. */
const SAMPLE = 16;
const OWNERS = 8;

interface ComparedParts {
  readonly index: PrefixIndex;
  readonly places: CandidatePlaces;
  readonly random: Random;
}

/**
 * Chooses which candidates are compared: all of up to 32, beginning at another one each time, so that equals take turns. In larger
 * fleets those that have most of the prompt, and some at random: more of them change nothing that could be measured with 64 workers.
 */
export class Compared {
  readonly #parts: ComparedParts;
  readonly #indexes = new Int32Array(MOST_COMPARED);
  #count = 0;
  #turn = 0;
  /** The candidates that were chosen from before they are taken. */
  #shown: readonly Candidate[] | undefined;

  constructor(parts: ComparedParts) {
    this.#parts = parts;
  }

  /**
   * Number of candidates to compare; `at` gives their indexes. The index must have matched the prompt. `isShown`: they are only to be
   * explained now, and the next call for a choice compares the same ones.
   */
  choose(candidates: readonly Candidate[], isShown: boolean): number {
    const { index } = this.#parts;
    const count = candidates.length;
    const isAgain = this.#shown === candidates;
    this.#shown = isShown ? candidates : undefined;
    if (isAgain) {
      index.find(count <= MOST_COMPARED ? MOST_FOUND : OWNERS);
      return this.#count;
    }
    this.#turn = (this.#turn + 1) % count;
    this.#count = 0;
    if (count <= MOST_COMPARED) {
      // Some that are found may not be candidates.
      index.find(MOST_FOUND);
      for (let look = 0; look < count; look += 1) this.#indexes[look] = (this.#turn + look) % count;
      this.#count = count;
    } else {
      this.#chooseOwners(candidates);
      this.#chooseOthers(count);
    }
    return this.#count;
  }

  at(number: number): number {
    return this.#indexes[number] ?? 0;
  }

  #chooseOwners(candidates: readonly Candidate[]): void {
    const { index, places } = this.#parts;
    const placeOf = places.of(candidates);
    let next = 0;
    for (let found = index.find(OWNERS); next < found; found = index.find(next + 1)) {
      // The index may name workers that are not among the candidates now.
      for (; next < found && this.#count < OWNERS; next += 1) this.#put(placeOf[index.slotAt(next)] ?? -1);
      if (this.#count === OWNERS) return;
    }
  }

  #chooseOthers(count: number): void {
    const { random } = this.#parts;
    // A draw may fall on one that is there already.
    for (let draw = this.#count; draw < SAMPLE; draw += 1) this.#put(Math.floor(random() * count));
  }

  /** Adds an index that is not there yet; -1 is none. */
  #put(place: number): void {
    if (place < 0) return;
    for (let number = 0; number < this.#count; number += 1) if (this.#indexes[number] === place) return;
    this.#indexes[this.#count] = place;
    this.#count += 1;
  }
}
