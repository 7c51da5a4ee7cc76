import { createKey } from "../../src/keys/api-key.ts";
import { SqliteKeyStore } from "../../src/keys/sqlite-key-store.ts";

/** Limits that are counted for each request and never reached. */
const WIDE = { requestsPerMinute: 100_000_000, tokensPerMinute: 1e12, maxConcurrent: 1_000_000 };

/** Makes a key store with so many keys, each with all kinds of limits. Returns their texts. */
export async function storeKeys(path: string, count: number): Promise<readonly string[]> {
  await using store = SqliteKeyStore.open(path);
  const texts: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const { id, text, digest } = createKey();
    texts.push(text);
    await store.insert({
      id,
      name: `team-${index}`,
      digest,
      previousDigest: undefined,
      previousUntil: 0,
      roles: ["client"],
      models: ["sim*", "llama-*"],
      limits: WIDE,
      priority: "normal",
      createdAt: Date.now(),
      expiresAt: Number.POSITIVE_INFINITY,
      revokedAt: undefined,
    });
  }
  return texts;
}
