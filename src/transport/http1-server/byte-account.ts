/** Counts the bytes that are held of all requests together: bytes that came, that were decoded, and that wait for their turn. */
export interface ByteAccount {
  /**
   * Counts so many bytes more. `mine`: the bytes that are counted for the caller already. Returns false, and counts nothing, if there is
   * no room beside the bytes of others.
   */
  take(bytes: number, mine: number): boolean;
  giveBack(bytes: number): void;
}

/** An account without a bound. */
export const NO_ACCOUNT: ByteAccount = { take: () => true, giveBack: () => undefined };
