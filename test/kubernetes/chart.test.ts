import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { BIN } from "../support/process.ts";
import { TEST_CERT, TEST_KEY } from "../support/tls.ts";
import { mountSecret } from "../support/tls-files.ts";
import { APISERVER, RealApi } from "./real-api.ts";

const ROOT = join(import.meta.dir, "../..");
const HELM = process.env["POINTSMAN_HELM"] ?? Bun.which("helm") ?? undefined;
const title = HELM === undefined ? "the chart (skipped: there is no helm, and POINTSMAN_HELM names none)" : "the chart";
const folder = mkdtempSync(join(tmpdir(), "pointsman-chart-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const manifest = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) });
type Manifest = z.output<typeof manifest>;

/** A name that is a number where YAML does not have it in quotes. */
const TEXT = "7000007";

/** What Helm says to these values: the objects, or why it refuses them. */
function render(...values: readonly string[]): readonly Manifest[] {
  const sets = values.flatMap((value) => [value.includes(TEXT) ? "--set-string" : "--set", value]);
  const args = ["template", "gate", join(ROOT, "deploy/helm/pointsman"), "--namespace", "edge", ...sets];
  const { exitCode, stdout, stderr } = Bun.spawnSync([HELM ?? "helm", ...args]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return objectsIn(stdout.toString());
}

function objectsIn(text: string): Manifest[] {
  const objects = parseAllDocuments(text).map((document): unknown => document.toJS());
  return objects.filter((object) => object !== null).map((object) => manifest.parse(object));
}

/** A part of the one object of a kind, by its path; undefined where it is not there. */
function part(objects: readonly Manifest[], kind: string, path: string): unknown {
  const found = objects.find((object) => object.kind === kind);
  return path.split(".").reduce((value: unknown, key) => Object(value)[key], found);
}

const CONTAINER = "spec.template.spec.containers.0";
const POOL = ["discovery.enabled=true", "discovery.namespace=models", "discovery.inferencePool=pool"];
const SELECTOR = ["discovery.enabled=true", "discovery.selector.app=vllm"];

/** What the program makes of the configuration and the arguments of the deployment, with the Secret mounted in a folder of the test's. */
function checked(objects: readonly Manifest[], mounted = "/nowhere"): string {
  const file = join(folder, "pointsman.yaml");
  const config = String(Object(part(objects, "ConfigMap", "data"))["pointsman.yaml"]);
  writeFileSync(file, config.replaceAll("/etc/pointsman-tls/", `${mounted}/`));
  const args = z.array(z.string()).parse(part(objects, "Deployment", `${CONTAINER}.args`));
  const given = args.map((arg) => (arg === "/etc/pointsman/pointsman.yaml" ? file : arg));
  const { exitCode, stdout } = Bun.spawnSync([BIN, "config", "check", ...given]);
  expect(exitCode).toBe(0);
  return stdout.toString();
}

describe.skipIf(HELM === undefined)(title, () => {
  // Each case starts programs, which take their time on a busy machine.
  setDefaultTimeout(60_000);

  test("asks for the rights of the file that users apply, and for those of pools only where one is used", () => {
    const file = objectsIn(readFileSync(join(ROOT, "deploy/kubernetes/rbac.yaml"), "utf8"));
    expect(part(render(...POOL), "Role", "rules")).toEqual(part(file, "Role", "rules"));
    const pods = z
      .array(z.unknown())
      .parse(part(file, "Role", "rules"))
      .slice(0, 1);
    expect(pods).toEqual([{ apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] }]);
    expect(part(render(...SELECTOR), "Role", "rules")).toEqual(pods);
    expect(part(render(), "Role", "rules")).toBeUndefined();
  });

  test("gives the program a configuration and arguments that it takes", () => {
    expect(checked(render())).toContain("host: 0.0.0.0");
    expect(checked(render(...SELECTOR))).toMatch(/selector:\s+- app=vllm/);
    const pool = checked(render(...POOL));
    expect(pool).toContain("inference_pool: models/pool");
    expect(pool).toMatch(/service_discovery_namespace:[^:]*- models/);
    const pd = ["discovery.enabled=true", "discovery.prefillSelector.role=p", "discovery.decodeSelector.role=d"];
    expect(checked(render(...pd))).toContain("pd_disaggregation: true");
    // The program reads the files of certificates, too.
    using secret = mountSecret({ cert: TEST_CERT, key: TEST_KEY });
    const tls = checked(render("tls.secretName=cert", "tls.clientCaKey=ca.crt"), dirname(secret.certPath));
    expect(tls).toContain(`tls_cert_path: ${secret.certPath}`);
    expect(tls).toContain(`tls_key_path: ${secret.keyPath}`);
    expect(tls).toContain(`tls_client_ca_path: ${secret.caPath}`);
  });

  test("has kubelet probe a port that it can: in the clear, over TLS, and the metrics port where clients need a certificate", () => {
    const probed = (...values: readonly string[]): unknown[] => {
      const objects = render(...values);
      return ["startupProbe", "readinessProbe", "livenessProbe"].map((probe) => {
        const { port, scheme } = Object(part(objects, "Deployment", `${CONTAINER}.${probe}.httpGet`));
        return `${scheme} ${port}`;
      });
    };
    const each = (how: string): string[] => [how, how, how];
    expect(probed()).toEqual(each("HTTP http"));
    expect(probed("tls.secretName=cert")).toEqual(each("HTTPS http"));
    expect(probed("config.tls_cert_path=/a", "config.tls_key_path=/b")).toEqual(each("HTTPS http"));
    const mutual = ["tls.secretName=cert", "tls.clientCaKey=ca.crt"];
    expect(probed(...mutual)).toEqual(each("HTTP metrics"));
    expect(probed(...mutual, "config.prometheus_tls=true")).toEqual(each("HTTPS metrics"));
  });

  test("mounts the certificate where the configuration looks for it, and names the port by its protocol", () => {
    const objects = render("tls.secretName=cert", "service.port=443");
    expect(part(objects, "Deployment", "spec.template.spec.volumes")).toContainEqual({
      name: "tls",
      secret: { secretName: "cert" },
    });
    expect(part(objects, "Deployment", `${CONTAINER}.volumeMounts`)).toContainEqual({
      name: "tls",
      mountPath: "/etc/pointsman-tls",
      readOnly: true,
    });
    expect(part(objects, "Service", "spec.ports.0")).toEqual({
      name: "https",
      port: 443,
      targetPort: "http",
      appProtocol: "https",
    });
    expect(part(render(), "Service", "spec.ports.0")).toEqual({ name: "http", port: 80, targetPort: "http" });
  });

  test("has Prometheus scrape over TLS where the metrics port speaks it", () => {
    const monitored = (...values: readonly string[]): unknown =>
      part(render("serviceMonitor.enabled=true", ...values), "ServiceMonitor", "spec.endpoints.0");
    expect(monitored()).toEqual({ port: "metrics", interval: "15s" });
    const tls = ["tls.secretName=cert", "config.prometheus_tls=true", "serviceMonitor.tlsConfig.serverName=gate"];
    expect(monitored(...tls)).toEqual({
      port: "metrics",
      interval: "15s",
      scheme: "https",
      tlsConfig: { serverName: "gate" },
    });
  });

  test("shows the metrics where they are with an admin port, and no port that nobody outside of the pod reaches", () => {
    const shown = (...values: readonly string[]): unknown => {
      const objects = render(...values);
      return [part(objects, "Deployment", `${CONTAINER}.ports.1`), part(objects, "Service", "spec.ports.1")];
    };
    const at = (port: number): unknown => [
      { name: "metrics", containerPort: port },
      { name: "metrics", port, targetPort: "metrics" },
    ];
    const admin = ["config.admin_port=29001", "config.admin_host=0.0.0.0"];
    expect(shown()).toEqual(at(29_000));
    expect(shown(...admin)).toEqual(at(29_001));
    for (const hidden of ["config.admin_port=29001", "config.prometheus_host=127.0.0.1"]) {
      expect(shown(hidden)).toEqual([undefined, undefined]);
    }
    expect(checked(render(...admin))).toContain("admin_port: 29001");
    const tls = [...admin, "tls.secretName=cert", "tls.clientCaKey=ca.crt", "serviceMonitor.enabled=true"];
    const monitored = (...values: readonly string[]): unknown => {
      const objects = render(...tls, ...values);
      const probe = part(objects, "Deployment", `${CONTAINER}.readinessProbe.httpGet.scheme`);
      return [probe, part(objects, "ServiceMonitor", "spec.endpoints.0.scheme")];
    };
    expect(monitored()).toEqual(["HTTPS", "https"]);
    expect(monitored("config.admin_tls=false")).toEqual(["HTTP", undefined]);
  });

  test("starts its pods anew for a change of the configuration; where they watch it, only for what needs a restart", () => {
    const checksum = (...values: readonly string[]): unknown =>
      Object(part(render(...values), "Deployment", "spec.template.metadata.annotations"))["checksum/config"];
    const watched = "config.watch_config=true";
    expect(checksum("config.queue_size=7")).not.toBe(checksum());
    expect(checksum(watched, "config.queue_size=7")).toBe(checksum(watched));
    for (const value of ["config.threads=3", "shutdown.graceSecs=7", "ports.http=31000"]) {
      expect([value, checksum(watched, value) === checksum(watched)]).toEqual([value, value.startsWith("shutdown")]);
    }
  });

  test("leaves names texts that look like numbers", () => {
    const names = [
      "existingSecret",
      "priorityClassName",
      "tls.secretName",
      "serviceAccount.name",
      "discovery.namespace",
    ];
    const more = ["discovery.selector.app", "config.worker_server_name", "podLabels.a", "nodeSelector.a", "image.tag"];
    const values = [...names, ...more].map((name) => `${name}=${TEXT}`);
    const objects = render("discovery.enabled=true", "serviceMonitor.enabled=true", "alerts.enabled=true", ...values);
    const texts = JSON.stringify(objects).match(new RegExp(`(?<!\\d)${TEXT}(?!\\d)`, "g")) ?? [];
    expect(texts.length).toBeGreaterThan(names.length + more.length);
    JSON.stringify(objects, (_key, value: unknown) => {
      expect(value).not.toBe(Number(TEXT));
      return value;
    });
  });

  test("refuses values that cannot work, before anything is installed", () => {
    const refused = [
      [["discovery.enabled=true"], "discovery.enabled needs discovery.selector"],
      [[...POOL, "discovery.selector.app=vllm"], "discovery.inferencePool chooses the pods by itself"],
      [["tls.clientCaKey=ca.crt"], "tls.clientCaKey needs tls.secretName"],
      [
        ["tls.secretName=a", "tls.clientCaKey=b", "config.prometheus_tls_client_ca_path=/c"],
        "kubelet has no certificate",
      ],
      [
        ["tls.secretName=a", "tls.clientCaKey=b", "config.admin_port=1", "config.admin_tls_client_ca_path=/c"],
        "kubelet has no certificate",
      ],
      [["tls.secretName=a", "config.tls_cert_path=/c"], "both name the certificate"],
      [["config.service_discovery=true"], "set discovery.enabled in its place"],
      [["serviceMonitor.enabled=true", "config.admin_port=1"], "set config.admin_host to 0.0.0.0"],
      [["serviceMonitor.enabled=true", "config.prometheus_host=localhost"], "set config.prometheus_host to 0.0.0.0"],
      [["tls.secret=cert"], "tls"],
      [["config.queue_sise=3"], "queue_sise"],
      [["ports.http=70000"], "ports"],
      [["discovery.inferencePool=3"], "inferencePool"],
    ] as const;
    for (const [values, reason] of refused) expect(() => render(...values)).toThrow(reason);
  });
});

const PATHS: Readonly<Record<string, string>> = {
  ServiceAccount: "/api/v1/namespaces/edge/serviceaccounts",
  ConfigMap: "/api/v1/namespaces/edge/configmaps",
  Service: "/api/v1/namespaces/edge/services",
  Deployment: "/apis/apps/v1/namespaces/edge/deployments",
  PodDisruptionBudget: "/apis/policy/v1/namespaces/edge/poddisruptionbudgets",
  Role: "/apis/rbac.authorization.k8s.io/v1/namespaces/models/roles",
  RoleBinding: "/apis/rbac.authorization.k8s.io/v1/namespaces/models/rolebindings",
};

const canApply = HELM !== undefined && APISERVER !== undefined;
describe.skipIf(!canApply)(
  canApply ? "the chart's objects" : "the chart's objects (skipped: they want helm and POINTSMAN_KUBE_APISERVER)",
  () => {
    let api: RealApi;
    beforeAll(async () => {
      api = await RealApi.start(APISERVER ?? "");
      for (const name of ["edge", "models"]) await api.post("/api/v1/namespaces", { metadata: { name } });
    }, 120_000);
    afterAll(() => api[Symbol.asyncDispose](), 30_000);

    test("are all taken by Kubernetes' API server, which knows every member of them", async () => {
      const kinds = ["dashboard.enabled=true", "replicas=3"];
      const objects = render(...POOL, ...kinds, "tls.secretName=cert", "tls.clientCaKey=ca.crt");
      expect(new Set(objects.map(({ kind }) => kind))).toEqual(new Set(Object.keys(PATHS)));
      for (const object of objects) await api.post(`${PATHS[object.kind]}?fieldValidation=Strict`, object);
      const names = ["existingSecret", "priorityClassName", "tls.secretName", "serviceAccount.name"];
      const others = render(...names.map((name) => `${name}=${TEXT}`));
      for (const { metadata, ...object } of others) {
        const path = `${PATHS[object.kind]}?fieldValidation=Strict&dryRun=All`;
        // The API server has no class of that priority; that it reads the name is enough.
        const answer = await api.post(path, { ...object, metadata: { ...metadata, name: "other" } }).catch(String);
        expect(String(answer)).not.toContain("unmarshal");
      }
    }, 60_000);
  },
);
