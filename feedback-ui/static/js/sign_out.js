// The button that ends a session in this browser.

import { call, persistently } from "./api.js";
import { byId } from "./page.js";

byId("sign-out").addEventListener("click", async () => {
  await persistently(() => call("DELETE", "/api/session"));
  location.assign("/");
});
