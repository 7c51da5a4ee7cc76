import { shortName } from "./numbers.ts";

/**
 * Names of policies as there is room for them, of so many characters at most: without the options that all variants of a policy share, as
 * those tell nothing apart.
 */
export function policyLabels(policies: readonly string[], most: number): ReadonlyMap<string, string> {
  const optionsOf = (policy: string): string[] => policy.split(":").slice(1);
  return new Map(
    policies.map((policy) => {
      const [base = policy] = policy.split(":", 1);
      const variants = policies.filter((one) => one.split(":", 1)[0] === base).map(optionsOf);
      const isShared = (option: string): boolean =>
        variants.length > 1 && variants.every((some) => some.includes(option));
      const telling = optionsOf(policy).filter((option) => !isShared(option));
      return [policy, shortName([base, ...telling].join(":"), most)];
    }),
  );
}
