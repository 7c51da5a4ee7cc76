import { closest } from "../util/suggest.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { canonicalPolicy, nearestPolicy, POLICY_NAMES } from "../policy/policy-names.ts";
import { checkModelRoutes } from "./check-model-routes.ts";
import type { Complaint } from "./describe-issue.ts";
import { ADMIN_KEY_NAME, API_KEY_NAME } from "./key-names.ts";
import type { Config } from "./schema.ts";

/** Finds options that are valid alone and wrong together. */
export function checkConfig(config: Config): Complaint[] {
  return [
    ...checkWorkers(config),
    ...checkPolicies(config),
    ...checkModelRoutes(config),
    ...checkKeys(config),
    ...checkAdmin(config),
    ...checkTokens(config),
    ...checkTls(config),
    ...checkDiscovery(config),
    ...checkNames(config),
  ];
}

function complaint(path: readonly PropertyKey[], text: string): Complaint {
  return { path, text, isSentence: true };
}

function checkWorkers(config: Config): Complaint[] {
  const seen = new Set<string>();
  const complaints: Complaint[] = [];
  for (const [index, { url, workerType }] of config.initialWorkers.entries()) {
    if (seen.has(url)) complaints.push(complaint(["initialWorkers", index, "url"], `the worker ${url} is given twice`));
    seen.add(url);
    const refusal = config.enableIgw ? undefined : refusedType(workerType, config.pdDisaggregation);
    if (refusal !== undefined) complaints.push(complaint(["initialWorkers", index, "workerType"], refusal));
  }
  return complaints;
}

/** Without a selector every pod of the cluster would be a worker. */
function checkDiscovery(config: Config): Complaint[] {
  const { serviceDiscovery, selector, prefillSelector, decodeSelector, inferencePool } = config;
  const selects = selector.length + prefillSelector.length + decodeSelector.length > 0;
  const isNamed = inferencePool !== undefined || selects;
  if (serviceDiscovery && !isNamed) {
    return [
      complaint(["selector"], "service discovery needs a selector of pods (--selector app=vllm) or an inference_pool"),
    ];
  }
  if (!serviceDiscovery && isNamed) {
    return [
      complaint(
        ["selector"],
        "pods are looked for only with --service-discovery (service_discovery: true in the file)",
      ),
    ];
  }
  if (inferencePool !== undefined && selects) {
    return [complaint(["inferencePool"], "an inference_pool chooses the pods by itself: leave out the selectors")];
  }
  return [];
}

/** Names are of one role, and have workers of kinds that the gateway takes. */
function checkNames(config: Config): Complaint[] {
  const roles = [
    ["workerDns", "regular"],
    ["prefillDns", "prefill"],
    ["decodeDns", "decode"],
  ] as const;
  const seen = new Set<string>();
  return roles.flatMap(([key, type]) =>
    config[key].flatMap((text, index) => {
      const refusal = config.enableIgw ? undefined : refusedType(type, config.pdDisaggregation);
      if (refusal !== undefined) return [complaint([key, index], refusal)];
      if (seen.has(text)) return [complaint([key, index], `the name ${text} is given twice`)];
      seen.add(text);
      return [];
    }),
  );
}

/** Why a gateway with one kind of workers refuses this type; undefined where it takes it. */
export function refusedType(type: WorkerType, isPd: boolean): string | undefined {
  if ((type === "regular") !== isPd) return undefined;
  return isPd
    ? "with --pd-disaggregation workers are --prefill and --decode (worker_type prefill or decode); regular ones besides them need --enable-igw"
    : `a ${type} worker needs --pd-disaggregation, or --enable-igw where there are others besides`;
}

/** Checks the names of policies. A module's name is known only when the module is loaded. */
function checkPolicies(config: Config): Complaint[] {
  if (config.policyModule !== undefined) return [];
  return namedPolicies(config).flatMap(({ name, path }) => {
    const text = refusedPolicy(name);
    return text === undefined ? [] : [complaint(path, text)];
  });
}

/** Whether a policy module is given, but no option names its policy. */
export function isModuleUnused(config: Config): boolean {
  return config.policyModule !== undefined && namedPolicies(config).every(({ name }) => isBuiltIn(name));
}

function isBuiltIn(given: string): boolean {
  return POLICY_NAMES.includes(canonicalPolicy(given));
}

/** All policies that the configuration names, with their places. */
export function namedPolicies(config: Config): { readonly name: string; readonly path: readonly PropertyKey[] }[] {
  const named: [name: string | undefined, path: readonly PropertyKey[]][] = [
    [config.defaultPolicy, ["defaultPolicy"]],
    [config.prefillPolicy, ["prefillPolicy"]],
    [config.decodePolicy, ["decodePolicy"]],
    [config.shadowPolicy, ["shadowPolicy"]],
  ];
  for (const [index, { policy }] of config.shadowPolicies.entries()) {
    named.push([policy, ["shadowPolicies", index, "policy"]]);
  }
  for (const [index, { policy }] of config.modelPolicies.patterns.entries()) {
    named.push([policy, ["modelPolicies", "patterns", index, "policy"]]);
  }
  for (const [index, { policy, labels }] of config.initialWorkers.entries()) {
    named.push([policy, ["initialWorkers", index, "policy"]]);
    named.push([labels["policy"], ["initialWorkers", index, "labels", "policy"]]);
  }
  return named.flatMap(([name, path]) => (name === undefined ? [] : [{ name, path }]));
}

function refusedPolicy(given: string): string | undefined {
  if (isBuiltIn(given)) return undefined;
  const name = canonicalPolicy(given);
  const instead = nearestPolicy(name);
  if (instead !== undefined) return `the policy ${name} is not built yet; ${instead}`;
  const near = closest(name, POLICY_NAMES);
  const hint = near === undefined ? `the policies are ${POLICY_NAMES.join(", ")}` : `did you mean ${near}?`;
  return `unknown policy ${JSON.stringify(name)}; ${hint}`;
}

/** A token of the issuer for another service must not open the gateway. */
function checkTokens({ jwtIssuer, jwtAudience }: Config): Complaint[] {
  if ((jwtIssuer === undefined) === (jwtAudience === undefined)) return [];
  return jwtIssuer === undefined
    ? [complaint(["jwtAudience"], "says nothing without jwt_issuer")]
    : [complaint(["jwtIssuer"], "needs jwt_audience: what the gateway's tokens are for")];
}

/** A name has one key, whose usage is counted under it; a key has one name, whose roles and limits it has. */
function checkKeys({ apiKey, apiKeys, adminApiKey }: Config): Complaint[] {
  const names = new Map<string, string>();
  if (apiKey) names.set(API_KEY_NAME, "is what the api_key is called");
  if (adminApiKey) names.set(ADMIN_KEY_NAME, "is what the admin_api_key is called");
  const texts = new Map<string, string>(apiKey ? [[apiKey.reveal(), "the api_key"]] : []);
  return apiKeys.flatMap(({ name, key }, index) => {
    const complaints: Complaint[] = [];
    const taken = names.get(name);
    if (taken !== undefined) {
      const text = `the name ${JSON.stringify(name)} ${taken}; two keys of one client need a name each`;
      complaints.push(complaint(["apiKeys", index, "name"], text));
    }
    const other = texts.get(key.reveal());
    if (other !== undefined) {
      complaints.push(complaint(["apiKeys", index, "key"], `the key of ${JSON.stringify(name)} is also ${other}`));
    }
    names.set(name, "is given twice");
    texts.set(key.reveal(), `that of ${JSON.stringify(name)}`);
    return complaints;
  });
}

/** A client's key must not open the administration from anywhere. */
function checkAdmin(config: Config): Complaint[] {
  const serving = [config.apiKey, ...config.apiKeys.map(({ key }) => key)];
  if (!serving.some((key) => key && key.reveal() === config.adminApiKey?.reveal())) return [];
  return [complaint(["adminApiKey"], "the admin key must be another than those of clients")];
}

/** Finds options of TLS without those that they belong to. */
function checkTls(config: Config): Complaint[] {
  const { clientCertPath, clientKeyPath } = config;
  const half =
    (clientCertPath === undefined) === (clientKeyPath === undefined)
      ? []
      : [
          clientKeyPath === undefined
            ? complaint(["clientCertPath"], "needs client_key_path with it")
            : complaint(["clientKeyPath"], "needs client_cert_path with it"),
        ];
  return [...half, ...checkPortTls(config)];
}

function checkPortTls(config: Config): Complaint[] {
  const { tlsCertPath, tlsKeyPath, adminPort } = config;
  if ((tlsCertPath === undefined) !== (tlsKeyPath === undefined)) {
    const missing = tlsKeyPath === undefined ? "tls_key_path" : "tls_cert_path";
    return [complaint([tlsKeyPath === undefined ? "tlsCertPath" : "tlsKeyPath"], `needs ${missing} with it`)];
  }
  const hasTls = tlsCertPath !== undefined;
  const alone = (
    key: "tlsClientCaPath" | "adminTlsClientCaPath" | "prometheusTlsClientCaPath",
    needed: string,
  ): Complaint[] =>
    config[key] === undefined ? [] : [complaint([key], `needs ${needed}: the port does not speak TLS`)];
  return [
    ...(hasTls ? [] : alone("tlsClientCaPath", "tls_cert_path")),
    ...(hasTls || config.tlsCertificates.length === 0 ? [] : [complaint(["tlsCertificates"], "needs tls_cert_path")]),
    ...(hasTls && config.adminTls && adminPort !== undefined
      ? []
      : alone("adminTlsClientCaPath", "tls_cert_path, admin_port and admin_tls")),
    ...(hasTls && config.prometheusTls ? [] : alone("prometheusTlsClientCaPath", "tls_cert_path and prometheus_tls")),
    ...(!hasTls && config.prometheusTls ? [complaint(["prometheusTls"], "needs tls_cert_path")] : []),
  ];
}
