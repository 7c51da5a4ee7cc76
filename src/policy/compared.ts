import { CandidatePlaces } from "./candidate-places.ts";
import { MOST_FOUND } from "./owner-search.ts";
import type { Candidate, Random } from "./policy.ts";
import type { PrefixIndex } from "./prefix-index.ts";

/** In a larger fleet so many candidates are chosen by the prompt, if the index names so many. */
const OWNERS = 8;

interface ComparedParts {
  readonly index: PrefixIndex;
  readonly random: Random;
  /** Of so many candidates all are compared. */
  readonly mostOfAll: number;
  /** Of more candidates so many are compared: OWNERS by the prompt, and the others at random. At most `mostOfAll`. */
  readonly sample: number;
}

/**
 * Chooses which candidates a policy compares for one request, so that a choice in a large fleet costs no more than in a small one: all of a
 * small fleet, beginning at another one each time, so that equals take turns; of a larger one those that have most of the prompt, and
 * some at random.
 */
export class Compared {
  readonly #parts: ComparedParts;
  readonly #places = new CandidatePlaces();
  readonly #indexes: Int32Array;
  #count = 0;
  #turn = 0;
  /** The candidates that were chosen from before they are taken. */
  #shown: readonly Candidate[] | undefined;

  constructor(parts: ComparedParts) {
    this.#parts = parts;
    this.#indexes = new Int32Array(parts.mostOfAll);
  }

  /**
   * Number of candidates to compare; `at` gives their indexes. The index must have matched the prompt. `isShown`: they are only to be
   * explained now, and the next call for a choice compares the same ones.
   */
  choose(candidates: readonly Candidate[], isShown: boolean): number {
    const count = candidates.length;
    const { index, mostOfAll } = this.#parts;
    const isAgain = this.#shown === candidates;
    this.#shown = isShown ? candidates : undefined;
    // Some that are found may not be candidates.
    index.find(count <= mostOfAll ? MOST_FOUND : OWNERS);
    if (isAgain) return this.#count;
    this.#count = 0;
    this.#turn = (this.#turn + 1) % count;
    if (count <= mostOfAll) this.#chooseAll(count);
    else {
      this.#chooseOwners(candidates);
      this.#chooseOthers(count);
    }
    return this.#count;
  }

  /** Those that were shown are chosen from: the next call compares others. */
  taken(): void {
    this.#shown = undefined;
  }

  at(number: number): number {
    return this.#indexes[number] ?? 0;
  }

  #chooseAll(count: number): void {
    for (let look = 0; look < count; look += 1) {
      const index = this.#turn + look;
      this.#indexes[look] = index < count ? index : index - count;
    }
    this.#count = count;
  }

  /** The search goes on from where it stopped, for as long as it names workers that are not among the candidates now. */
  #chooseOwners(candidates: readonly Candidate[]): void {
    const { index } = this.#parts;
    const placeOf = this.#places.of(candidates);
    for (let next = 0; next < index.find(next + 1); next += 1) {
      this.#put(placeOf[index.slotAt(next)] ?? -1);
      if (this.#count === OWNERS) return;
    }
  }

  #chooseOthers(count: number): void {
    const { random, sample } = this.#parts;
    // A draw may fall on one that is there already.
    for (let draw = this.#count; draw < sample; draw += 1) this.#put(Math.floor(random() * count));
  }

  /** Adds an index that is not there yet; -1 is none. */
  #put(place: number): void {
    if (place < 0) return;
    for (let number = 0; number < this.#count; number += 1) if (this.#indexes[number] === place) return;
    this.#indexes[this.#count] = place;
    this.#count += 1;
  }
}
