// The parts of undici that src/upstream uses, for the bundle. Its whole also has fetch, WebSocket, caches and mocks, and wakes
// those of Node.js as well: 5 MB for as long as the process lives.
"use strict";

const Dispatcher = require("undici/lib/dispatcher/dispatcher.js");

// As undici's own index does: `request` and the like are not in the class itself.
Object.assign(Dispatcher.prototype, require("undici/lib/api/index.js"));

module.exports = {
  Agent: require("undici/lib/dispatcher/agent.js"),
  EnvHttpProxyAgent: require("undici/lib/dispatcher/env-http-proxy-agent.js"),
  buildConnector: require("undici/lib/core/connect.js"),
  errors: require("undici/lib/core/errors.js"),
};
