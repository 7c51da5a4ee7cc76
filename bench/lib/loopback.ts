/** 127.0.0.1, or as many addresses of loopback as are wanted, none of which others listen on. */
export function loopbackAddresses(count: number): string[] {
  if (count === 1) return ["127.0.0.1"];
  return Array.from({ length: count }, (_, index) => `127.77.${Math.floor(index / 254)}.${(index % 254) + 1}`);
}
