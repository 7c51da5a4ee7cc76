/** What logs, metrics and usage call the `api_key`. */
export const API_KEY_NAME = "default";

/** What logs, metrics and usage call the `admin_api_key`. */
export const ADMIN_KEY_NAME = "admin";
