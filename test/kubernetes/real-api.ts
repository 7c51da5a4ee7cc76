import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { CutWire } from "./cut-wire.ts";

/** The API server's program; the tests skip without it. */
export const APISERVER = process.env["POINTSMAN_KUBE_APISERVER"];

const rangeBody = z.looseObject({ header: z.looseObject({ revision: z.string() }) });
const tokenBody = z.looseObject({ status: z.looseObject({ token: z.string() }) });

const ADMIN = "admin-token";
const JSON_TYPE = "application/json";
const MERGE = "application/merge-patch+json";

/** etcd and Kubernetes' own API server on loopback, with a wire before it that the test may cut. There is no kubelet: the test says how pods are. */
export class RealApi implements AsyncDisposable {
  readonly #program: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "pointsman-kube-"));
  readonly #ports = freePorts(4);
  #etcd: Bun.Subprocess | undefined;
  #server: Bun.Subprocess | undefined;
  /** What the gateway connects through. */
  readonly wire: CutWire;

  constructor(program: string) {
    this.#program = program;
    const [server = 0] = this.#ports;
    this.wire = new CutWire(server);
  }

  static async start(program: string): Promise<RealApi> {
    const api = new RealApi(program);
    const [, client, peer] = api.#ports;
    const { exited } = Bun.spawn(["openssl", "genrsa", "-out", api.#path("sa.key"), "2048"], { stderr: "ignore" });
    await exited;
    writeFileSync(api.#path("tokens.csv"), `${ADMIN},admin,1,"system:masters"\n`);
    const at = `http://127.0.0.1:${client}`;
    api.#etcd = Bun.spawn(
      [
        ...["etcd", "--data-dir", api.#path("etcd"), "--listen-client-urls", at, "--advertise-client-urls", at],
        ...["--listen-peer-urls", `http://127.0.0.1:${peer}`, "--log-level", "error"],
      ],
      { stdout: "ignore", stderr: "ignore" },
    );
    await api.startServer();
    return api;
  }

  /** Starts the API server, and waits until it is ready. */
  async startServer(): Promise<void> {
    const [port, etcd] = this.#ports;
    this.#server = Bun.spawn(
      [
        ...[this.#program, "--etcd-servers", `http://127.0.0.1:${etcd}`, "--bind-address", "127.0.0.1"],
        ...["--secure-port", String(port), "--cert-dir", this.#path("certs"), "--authorization-mode", "RBAC"],
        ...["--token-auth-file", this.#path("tokens.csv"), "--service-cluster-ip-range", "10.96.0.0/24"],
        ...["--service-account-issuer", "https://kubernetes.default.svc"],
        ...["--service-account-signing-key-file", this.#path("sa.key")],
        ...["--service-account-key-file", this.#path("sa.key"), "--disable-admission-plugins", "ServiceAccount"],
      ],
      { stdout: "ignore", stderr: Bun.file(this.#path("server.log")) },
    );
    for (const until = performance.now() + 90_000; performance.now() < until; await Bun.sleep(200)) {
      const answer = await this.#ask("GET", "/readyz").catch(() => undefined);
      if (answer?.ok === true) return;
    }
    throw new Error(`the API server is not ready: ${readFileSync(this.#path("server.log"), "utf8").slice(-2000)}`);
  }

  /** Kills the API server; etcd keeps what it knew. */
  async stopServer(): Promise<void> {
    this.#server?.kill("SIGKILL");
    await this.#server?.exited;
  }

  /** Throws away what etcd knows of the past. */
  async compact(): Promise<void> {
    const etcd = `http://127.0.0.1:${this.#ports[1]}/v3/kv`;
    const ask = (path: string, body: object): Promise<Response> =>
      fetch(`${etcd}/${path}`, { method: "POST", body: JSON.stringify(body) });
    const { header } = rangeBody.parse(await (await ask("range", { key: btoa("/") })).json());
    const answer = await ask("compaction", { revision: header.revision, physical: true });
    if (!answer.ok) throw new Error(`etcd does not compact: ${await answer.text()}`);
  }

  /** A kubeconfig of somebody who has this file of a token, over the wire. */
  kubeconfig(tokenFile: string): string {
    const folder = mkdtempSync(join(this.#folder, "kubeconfig-"));
    const cluster = {
      server: `https://127.0.0.1:${this.wire.port}`,
      "certificate-authority": this.#path("certs/apiserver.crt"),
    };
    const config = {
      "current-context": "here",
      contexts: [{ name: "here", context: { cluster: "here", user: "gateway" } }],
      clusters: [{ name: "here", cluster }],
      users: [{ name: "gateway", user: { tokenFile } }],
    };
    writeFileSync(join(folder, "config"), JSON.stringify(config));
    return join(folder, "config");
  }

  /** A token of a service account, as a pod has it. */
  async tokenOf(namespace: string, account: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const made = await this.post(path, { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} });
    return tokenBody.parse(made).status.token;
  }

  /** A new file of this content in the server's folder. */
  file(name: string, content: string): string {
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(this.#path(name), content);
    return this.#path(name);
  }

  async get(path: string): Promise<unknown> {
    return (await this.#must("GET", path)).json();
  }

  async post(path: string, body: object): Promise<unknown> {
    return (await this.#must("POST", path, body)).json();
  }

  async patch(path: string, body: object): Promise<void> {
    await (await this.#must("PATCH", path, body, MERGE)).arrayBuffer();
  }

  async delete(path: string, query = ""): Promise<void> {
    await (await this.#must("DELETE", `${path}${query}`)).arrayBuffer();
  }

  async #must(method: string, path: string, body?: object, type?: string): Promise<Response> {
    const answer = await this.#ask(method, path, body, type);
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  #ask(method: string, path: string, body?: object, type = JSON_TYPE): Promise<Response> {
    return fetch(`https://127.0.0.1:${this.#ports[0]}${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN}`, "content-type": type },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      tls: { rejectUnauthorized: false },
    });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.wire[Symbol.dispose]();
    for (const child of [this.#server, this.#etcd]) {
      child?.kill("SIGKILL");
      await child?.exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Ports that were free together. */
function freePorts(count: number): number[] {
  const opened = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } }),
  );
  const ports = opened.map(({ port }) => port);
  for (const one of opened) one.stop(true);
  return ports;
}
