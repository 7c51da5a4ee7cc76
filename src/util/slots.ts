/**
 * Workers that can be registered at once. Each has a slot, a number below this, while it is registered: its row in the load ledger and in what
 * policies keep in memory that threads share. Entries of the prefix index have 14 bits for it.
 */
export const SLOTS = 16_384;
