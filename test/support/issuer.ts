import { exportJWK, generateKeyPair, type GenerateKeyPairResult, SignJWT } from "jose";

interface Said {
  readonly audience?: string;
  readonly issuer?: string;
  readonly expires?: string;
  /** Time before which the token is not valid. */
  readonly notBefore?: string;
}

/** An issuer of tokens on loopback, whose keys and answers a test changes. */
export class Issuer implements Disposable {
  isAway = false;
  /** How often its keys were asked for. */
  asked = 0;
  /** What it answers in the place of its keys. */
  lie: (() => Response | Promise<Response>) | undefined;
  readonly #server: ReturnType<typeof Bun.serve>;
  readonly #keys = new Map<string, GenerateKeyPairResult>();

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => this.#answer(new URL(request.url).pathname),
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  async addKey(id: string): Promise<void> {
    this.#keys.set(id, await generateKeyPair("ES256"));
  }

  /** A token for the audience `gateway`, for five minutes, unless something else is said. */
  async sign(id: string, claims: object, said: Said = {}): Promise<string> {
    const pair = this.#keys.get(id);
    if (!pair) throw new Error(`no key ${id}`);
    const token = new SignJWT({ sub: "ann", ...claims })
      .setProtectedHeader({ alg: "ES256", kid: id })
      .setIssuer(said.issuer ?? this.url)
      .setAudience(said.audience ?? "gateway")
      .setExpirationTime(said.expires ?? "5 minutes");
    if (said.notBefore !== undefined) token.setNotBefore(said.notBefore);
    return token.sign(pair.privateKey);
  }

  /** The set of its public keys. */
  async keySet(): Promise<object> {
    const keys = await Promise.all(
      [...this.#keys].map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid, alg: "ES256" })),
    );
    return { keys };
  }

  async #answer(path: string): Promise<Response> {
    if (this.isAway) return new Response("away", { status: 503 });
    if (path === "/.well-known/openid-configuration") return Response.json({ jwks_uri: `${this.url}/keys` });
    this.asked += 1;
    return this.lie ? this.lie() : Response.json(await this.keySet());
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }
}
