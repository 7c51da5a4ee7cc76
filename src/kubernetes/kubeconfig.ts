import { dirname, isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { type Cluster, ClusterError, type ClusterTls, readText } from "./cluster.ts";

const text = z.string().min(1).optional();

/** The parts of a kubeconfig (kubernetes.io, "Organizing Cluster Access Using kubeconfig Files") that the gateway reads. */
const schema = z.looseObject({
  "current-context": text,
  contexts: z
    .array(
      z.looseObject({ name: z.string(), context: z.looseObject({ cluster: z.string(), user: text, namespace: text }) }),
    )
    .default([]),
  clusters: z
    .array(
      z.looseObject({
        name: z.string(),
        cluster: z.looseObject({
          server: z.url(),
          "certificate-authority": text,
          "certificate-authority-data": text,
          "tls-server-name": text,
          "insecure-skip-tls-verify": z.boolean().optional(),
        }),
      }),
    )
    .default([]),
  users: z
    .array(
      z.looseObject({
        name: z.string(),
        user: z.looseObject({
          token: text,
          tokenFile: text,
          "client-certificate": text,
          "client-certificate-data": text,
          "client-key": text,
          "client-key-data": text,
          exec: z.looseObject({}).optional(),
          "auth-provider": z.looseObject({}).optional(),
          username: text,
        }),
      }),
    )
    .default([]),
});
type Kubeconfig = z.output<typeof schema>;
type User = Kubeconfig["users"][number]["user"];
type Named = Kubeconfig["clusters"][number]["cluster"];

/** The cluster of a kubeconfig's current context. Throws ClusterError. */
export function readKubeconfig(path: string): Cluster {
  const parsed = schema.safeParse(asObject(path, readText(path, "the kubeconfig")));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new ClusterError(`${path} is no kubeconfig: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { data } = parsed;
  const current = data["current-context"];
  if (current === undefined) throw new ClusterError(`${path} has no current-context`);
  const context = find(path, "context", data.contexts, current).context;
  const { cluster } = find(path, "cluster", data.clusters, context.cluster);
  const user = context.user === undefined ? {} : find(path, "user", data.users, context.user).user;
  checkUser(path, user);
  return {
    url: cluster.server.replace(/\/+$/, ""),
    namespace: context.namespace ?? "default",
    tls: tlsOf(path, cluster, user),
    token: tokenOf(path, user),
  };
}

function asObject(path: string, content: string): unknown {
  try {
    return parse(content);
  } catch (cause) {
    throw new ClusterError(`${path} is not YAML: ${String(cause)}`, { cause });
  }
}

function find<T extends { readonly name: string }>(path: string, what: string, list: readonly T[], name: string): T {
  const found = list.find((entry) => entry.name === name);
  if (!found) throw new ClusterError(`${path} has no ${what} ${name}`);
  return found;
}

/** Ways of signing in that run a program or ask a person are not taken. */
function checkUser(path: string, user: Partial<User>): void {
  const foreign = (["exec", "auth-provider", "username"] as const).find((key) => user[key] !== undefined);
  if (foreign === undefined) return;
  throw new ClusterError(
    `${path} signs in with ${foreign}, which is not built: make a token (kubectl create token ACCOUNT) and give it as tokenFile`,
  );
}

function tlsOf(path: string, cluster: Named, user: Partial<User>): ClusterTls {
  const pem = (file: string | undefined, data: string | undefined, what: string): string | undefined => {
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    return file === undefined ? undefined : readText(beside(path, file), what);
  };
  const parts = {
    ca: pem(cluster["certificate-authority"], cluster["certificate-authority-data"], "the cluster's authority"),
    cert: pem(user["client-certificate"], user["client-certificate-data"], "the client's certificate"),
    key: pem(user["client-key"], user["client-key-data"], "the client's key"),
    serverName: cluster["tls-server-name"],
    rejectUnauthorized: cluster["insecure-skip-tls-verify"] === true ? false : undefined,
  };
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}

function tokenOf(path: string, { token, tokenFile }: Partial<User>): () => string | undefined {
  if (tokenFile === undefined) return () => token;
  return () => readText(beside(path, tokenFile), "the token").trim();
}

/** Paths in a kubeconfig are relative to its folder. */
function beside(path: string, file: string): string {
  return isAbsolute(file) ? file : join(dirname(path), file);
}
