/** `requestTimeoutSecs` -> `request_timeout_secs`. */
export function snakeCase(camel: string): string {
  return camel.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** `request_timeout_secs` -> `requestTimeoutSecs`. */
export function camelCase(snake: string): string {
  return snake.replace(/_([a-z0-9])/g, (_whole, letter: string) => letter.toUpperCase());
}
