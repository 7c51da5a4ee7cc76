import { dirname, isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { CARRIES_USER, carriesUser } from "../util/address-user.ts";
import { errorMessage } from "../util/error-message.ts";
import { type Cluster, ClusterError, type ClusterTls, readText } from "./cluster.ts";

const text = z.string().optional();

/** The parts of a kubeconfig (kubernetes.io, "Organizing Cluster Access Using kubeconfig Files") that the gateway reads. */
const schema = z.looseObject({
  "current-context": text,
  contexts: z.array(z.looseObject({ name: text, context: z.unknown().optional() })).default([]),
  clusters: z.array(z.looseObject({ name: text, cluster: z.unknown().optional() })).default([]),
  users: z.array(z.looseObject({ name: text, user: z.unknown().optional() })).default([]),
});
/** What is in the lists. Only what the current context names is looked at: the rest is for other programs. */
const contextSchema = z.looseObject({ cluster: z.string(), user: text, namespace: text });
const clusterSchema = z.looseObject({
  server: z.url({ protocol: /^https?$/ }).refine((text) => !carriesUser(text), CARRIES_USER),
  "certificate-authority": text,
  "certificate-authority-data": text,
  "tls-server-name": text,
  "insecure-skip-tls-verify": z.boolean().optional(),
  "proxy-url": text,
});
const userSchema = z.looseObject({
  token: text,
  tokenFile: text,
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  exec: z.unknown().optional(),
  "auth-provider": z.unknown().optional(),
  username: text,
  as: text,
});
type User = z.output<typeof userSchema>;
type Named = z.output<typeof clusterSchema>;

/** One of the files. */
interface Part extends z.output<typeof schema> {
  readonly path: string;
}

/** A thing of one of the files. Paths in it are relative to the file's folder. */
interface Found<T> {
  readonly path: string;
  readonly value: T;
}

/** The cluster of the current context. Of several files the first that names a thing counts, as for kubectl. Throws ClusterError. */
export function readKubeconfig(paths: readonly string[]): Cluster {
  const parts = paths.map(readPart);
  const all = paths.join(":");
  const current = parts.map((part) => part["current-context"]).find((name) => name !== undefined);
  if (current === undefined) throw new ClusterError(`${all} has no current-context`);
  const context = named(all, "context", listed(parts, "contexts", "context"), current, contextSchema).value;
  const cluster = named(all, "cluster", listed(parts, "clusters", "cluster"), context.cluster, clusterSchema);
  const users = listed(parts, "users", "user");
  const user: Found<User> =
    context.user === undefined
      ? { path: cluster.path, value: {} }
      : named(all, "user", users, context.user, userSchema);
  checkWays(cluster, user);
  const tls = (): ClusterTls => tlsOf(cluster, user);
  const token = tokenOf(user);
  // What is missing is told now, and not with the first request.
  tls();
  token();
  return {
    url: cluster.value.server.replace(/\/+$/, ""),
    namespace: context.namespace ?? "default",
    tls,
    token,
  };
}

function readPart(path: string): Part {
  const parsed = schema.safeParse(asObject(path, readText(path, "the kubeconfig")) ?? {});
  if (!parsed.success) throw new ClusterError(`${path} is no kubeconfig: ${firstIssue(parsed.error)}`);
  return { ...parsed.data, path };
}

/** kubectl writes what is not there as null, and as a text without characters. */
function asObject(path: string, content: string): unknown {
  try {
    // Without `prettyErrors` the message does not quote the file, which has keys and tokens.
    return parse(content, (_key, value: unknown) => (value === null || value === "" ? undefined : value), {
      prettyErrors: false,
    });
  } catch (cause) {
    throw new ClusterError(`${path} is not YAML: ${errorMessage(cause)}`, { cause });
  }
}

interface Listed {
  readonly path: string;
  readonly name: string | undefined;
  readonly value: unknown;
}

function listed(
  parts: readonly Part[],
  list: "contexts" | "clusters" | "users",
  member: "context" | "cluster" | "user",
): Listed[] {
  return parts.flatMap((part) =>
    part[list].map((entry) => ({ path: part.path, name: entry.name, value: entry[member] ?? {} })),
  );
}

function named<T>(all: string, what: string, list: readonly Listed[], name: string, body: z.ZodType<T>): Found<T> {
  const found = list.find((entry) => entry.name === name);
  if (!found) throw new ClusterError(`${all} has no ${what} ${name}`);
  const read = body.safeParse(found.value);
  if (!read.success) throw new ClusterError(`${found.path}: the ${what} ${name}: ${firstIssue(read.error)}`);
  return { path: found.path, value: read.data };
}

function firstIssue({ issues: [issue] }: z.ZodError): string {
  return `${issue?.path.join(".")}: ${issue?.message}`;
}

/** Ways to the cluster that run a program, ask a person, speak for another or take a detour are not taken. */
function checkWays({ path: clusterPath, value: cluster }: Found<Named>, { path, value: user }: Found<User>): void {
  const foreign = (["exec", "auth-provider", "username", "as"] as const).find((key) => user[key] !== undefined);
  if (foreign !== undefined) {
    throw new ClusterError(
      `${path} signs in with ${foreign}, which is not built: make a token (kubectl create token ACCOUNT) and give it as tokenFile`,
    );
  }
  if (cluster["proxy-url"] === undefined) return;
  throw new ClusterError(
    `${clusterPath} reaches the cluster through proxy-url, which is not built: name the server itself`,
  );
}

function tlsOf({ path: clusterPath, value: cluster }: Found<Named>, { path, value: user }: Found<User>): ClusterTls {
  const pem = (
    { path: from, file, data }: { path: string; file: string | undefined; data: string | undefined },
    what: string,
  ): string | undefined => {
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    return file === undefined ? undefined : readText(beside(from, file), what);
  };
  const parts = {
    ca: pem(
      { path: clusterPath, file: cluster["certificate-authority"], data: cluster["certificate-authority-data"] },
      "the cluster's authority",
    ),
    cert: pem(
      { path, file: user["client-certificate"], data: user["client-certificate-data"] },
      "the client's certificate",
    ),
    key: pem({ path, file: user["client-key"], data: user["client-key-data"] }, "the client's key"),
    serverName: cluster["tls-server-name"],
    rejectUnauthorized: cluster["insecure-skip-tls-verify"] === true ? false : undefined,
  };
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}

function tokenOf({ path, value: { token, tokenFile } }: Found<User>): () => string | undefined {
  if (tokenFile === undefined) return () => token;
  return () => readText(beside(path, tokenFile), "the token").trim();
}

/** Paths in a kubeconfig are relative to its folder. */
function beside(path: string, file: string): string {
  return isAbsolute(file) ? file : join(dirname(path), file);
}
