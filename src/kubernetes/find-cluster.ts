import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Cluster, readText } from "./cluster.ts";
import { readKubeconfig } from "./kubeconfig.ts";

export interface ClusterPlaces {
  /** The kubeconfig that the operator named; undefined: in the cluster its own account, elsewhere `KUBECONFIG` or `~/.kube/config`. */
  readonly kubeconfig: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where a pod has its service account. */
  readonly accountFolder?: string;
}

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Finds the cluster. Throws ClusterError where there is none, or what describes it cannot be used. */
export function findCluster({ kubeconfig, env, accountFolder = ACCOUNT }: ClusterPlaces): Cluster {
  const host = env["KUBERNETES_SERVICE_HOST"];
  if (kubeconfig === undefined && host) return ownCluster(host, env["KUBERNETES_SERVICE_PORT"] ?? "443", accountFolder);
  return readKubeconfig(kubeconfig === undefined ? usualFiles(env) : [kubeconfig]);
}

/** Where kubectl looks. Files of `KUBECONFIG` that are not there are left out, unless none is. */
function usualFiles(env: ClusterPlaces["env"]): string[] {
  const given = (env["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  if (given.length === 0) return [join(env["HOME"] || "/", ".kube/config")];
  const there = given.filter((path) => existsSync(path));
  return there.length > 0 ? there : given;
}

/** The cluster in which the gateway runs, as its service account. */
function ownCluster(host: string, port: string, folder: string): Cluster {
  const read = (name: string): string => readText(join(folder, name), "the pod's service account");
  // What is missing is told now, and not with the first request.
  for (const name of ["token", "ca.crt"]) read(name);
  return {
    // An IPv6 address has brackets in a URL.
    url: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    namespace: read("namespace").trim(),
    tls: () => ({ ca: read("ca.crt") }),
    token: () => read("token").trim(),
  };
}
