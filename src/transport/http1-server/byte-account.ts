/** What is held of clients' requests, by all of them together: what has come, what was decoded of it, what waits its turn. */
export interface ByteAccount {
  /**
   * Counts so many bytes more. `mine`: how many of those counted already are the asker's own. False where there is no room
   * beside those of others, and then nothing is counted.
   */
  take(bytes: number, mine: number): boolean;
  giveBack(bytes: number): void;
}

/** Where nothing is bounded. */
export const NO_ACCOUNT: ByteAccount = { take: () => true, giveBack: () => undefined };
