import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findCluster } from "./find-cluster.ts";

const folder = mkdtempSync(join(tmpdir(), "pointsman-cluster-"));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A kubeconfig with one context, whose user is this. */
function kubeconfig(name: string, user: object, cluster: object = {}): string {
  return write(
    name,
    JSON.stringify({
      "current-context": "here",
      contexts: [{ name: "here", context: { cluster: "c", user: "u", namespace: "models" } }],
      clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:6443/", ...cluster } }],
      users: [{ name: "u", user }],
    }),
  );
}

describe("in a cluster", () => {
  const account = join(folder, "account");
  const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };

  test("the gateway is its pod's service account, whose token is read anew each time", () => {
    write("account/token", "one\n");
    write("account/namespace", "models\n");
    write("account/ca.crt", "PEM");
    const cluster = findCluster({ kubeconfig: undefined, env, accountFolder: account });
    expect([cluster.url, cluster.namespace, cluster.tls(), cluster.token()]).toEqual([
      "https://10.96.0.1:443",
      "models",
      { ca: "PEM" },
      "one",
    ]);
    write("account/token", "two\n");
    write("account/ca.crt", "NEXT");
    expect([cluster.token(), cluster.tls()]).toEqual(["two", { ca: "NEXT" }]);
  });

  test("an IPv6 address of the server has brackets", () => {
    const six = { ...env, KUBERNETES_SERVICE_HOST: "fd00::1" };
    expect(findCluster({ kubeconfig: undefined, env: six, accountFolder: account }).url).toBe("https://[fd00::1]:443");
  });

  test("a pod without a service account is told so", () => {
    const places = { kubeconfig: undefined, env, accountFolder: join(folder, "none") };
    expect(() => findCluster(places)).toThrow("the pod's service account cannot be read");
  });
});

describe("a kubeconfig", () => {
  const read = (path: string): ReturnType<typeof findCluster> => findCluster({ kubeconfig: path, env: {} });

  test("names server, namespace, authority, certificate and token; files are beside it", () => {
    write("client.pem", "CERT");
    const user = { "client-certificate": "client.pem", "client-key-data": base64("KEY"), token: "t" };
    const cluster = read(
      kubeconfig("whole", user, { "certificate-authority-data": base64("CA"), "tls-server-name": "api" }),
    );
    expect([cluster.url, cluster.namespace, cluster.token()]).toEqual(["https://127.0.0.1:6443", "models", "t"]);
    expect(cluster.tls()).toEqual({ ca: "CA", cert: "CERT", key: "KEY", serverName: "api" });
    write("client.pem", "RENEWED");
    expect(cluster.tls()).toMatchObject({ cert: "RENEWED", key: "KEY" });
  });

  test("may name a file of the token, which is read anew each time", () => {
    write("token", "first\n");
    const cluster = read(kubeconfig("token-file", { tokenFile: "token" }));
    write("token", "second\n");
    expect(cluster.token()).toBe("second");
  });

  test("is looked for where kubectl looks", () => {
    const path = kubeconfig("home/.kube/config", { token: "home" });
    expect(findCluster({ kubeconfig: undefined, env: { HOME: join(folder, "home") } }).token()).toBe("home");
    expect(findCluster({ kubeconfig: undefined, env: { KUBECONFIG: `${path}:/other` } }).token()).toBe("home");
    expect(findCluster({ kubeconfig: undefined, env: { KUBECONFIG: "", HOME: join(folder, "home") } }).token()).toBe(
      "home",
    );
  });

  test("of several files in KUBECONFIG is all of them: the first that names a thing counts, and paths are beside their file", () => {
    write("two/token", "from the second\n");
    const second = write(
      "two/config",
      JSON.stringify({
        "current-context": "other",
        contexts: [{ name: "here", context: { cluster: "c", user: "u" } }],
        clusters: [{ name: "c", cluster: { server: "https://second:6443" } }],
        users: [{ name: "u", user: { tokenFile: "token" } }],
      }),
    );
    const first = write(
      "one/config",
      JSON.stringify({
        "current-context": "here",
        clusters: [{ name: "c", cluster: { server: "https://first:6443" } }],
      }),
    );
    const KUBECONFIG = `${join(folder, "missing")}:${first}::${second}`;
    const cluster = findCluster({ kubeconfig: undefined, env: { KUBECONFIG } });
    expect([cluster.url, cluster.namespace, cluster.token()]).toEqual([
      "https://first:6443",
      "default",
      "from the second",
    ]);
    const env = { KUBECONFIG: join(folder, "missing") };
    expect(() => findCluster({ kubeconfig: undefined, env })).toThrow("the kubeconfig cannot be read");
  });

  test("is read as kubectl writes it: what is not there is null or empty, and entries for other programs may be anything", () => {
    const path = write(
      "kubectl",
      `
apiVersion: v1
kind: Config
preferences: {}
current-context: here
contexts:
- context: { cluster: c, user: "", namespace: "" }
  name: here
- context: null
  name: gone
- { name: "" }
clusters:
- cluster: { server: "https://127.0.0.1:6443", certificate-authority-data: "", tls-server-name: "" }
  name: c
- cluster: { server: "" }
  name: broken
users: null
`,
    );
    const cluster = read(path);
    expect([cluster.url, cluster.namespace, cluster.tls(), cluster.token()]).toEqual([
      "https://127.0.0.1:6443",
      "default",
      {},
      undefined,
    ]);
    const none = 'clusters: null\ncontexts: null\ncurrent-context: ""\nkind: Config\nusers: null\n';
    expect(() => read(write("none", none))).toThrow("has no current-context");
    expect(() => read(write("blank", ""))).toThrow("has no current-context");
  });

  test("comes before the service account where it is given", () => {
    const path = kubeconfig("given", { token: "given" });
    expect(findCluster({ kubeconfig: path, env: { KUBERNETES_SERVICE_HOST: "10.96.0.1" } }).token()).toBe("given");
  });

  test("that cannot be used is refused with what is wrong", () => {
    expect(() => read(join(folder, "missing"))).toThrow("the kubeconfig cannot be read");
    expect(() => read(write("text", "a: ["))).toThrow("is not YAML");
    expect(() => read(write("empty", "{}"))).toThrow("has no current-context");
    expect(() => read(write("lost", '{"current-context": "x"}'))).toThrow("has no context x");
    expect(() => read(write("list", "[]"))).toThrow("is no kubeconfig");
    const user = { exec: { command: "aws" } };
    expect(() => read(kubeconfig("exec", user))).toThrow("signs in with exec, which is not built: make a token");
    expect(() => read(kubeconfig("as", { token: "t", as: "admin" }))).toThrow("signs in with as, which is not built");
    const proxy = { "proxy-url": "http://proxy:3128" };
    expect(() => read(kubeconfig("proxy", { token: "t" }, proxy))).toThrow("through proxy-url, which is not built");
    expect(() => read(kubeconfig("address", {}, { server: "nowhere" }))).toThrow("the cluster c: server: Invalid URL");
  });

  test("does not show what is secret in it when it is refused", () => {
    const refusal = (path: string): string => {
      try {
        return read(path).url;
      } catch (error) {
        return String(error);
      }
    };
    const cut = refusal(write("cut", 'users:\n- name: u\n  user: {token: "hush\n'));
    expect(cut).toContain("is not YAML");
    expect(cut).not.toContain("hush");
    const server = refusal(kubeconfig("password", {}, { server: "https://someone:hush@10.0.0.1" }));
    expect(server).toContain("the cluster c: server: must not carry a user or password");
    expect(server).not.toContain("hush");
  });
});
