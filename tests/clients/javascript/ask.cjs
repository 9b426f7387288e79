// Asks a mirror through Binance clients of npm, unchanged but for their base URL.
// Run where the packages are installed: node ask.cjs BASE_URL. Prints one JSON object.
"use strict";
const { createRequire } = require("node:module");
const installed = createRequire(`${process.cwd()}/package.json`);
const api = installed("binance-api-node").default;
const { MainClient } = installed("binance");

const base = process.argv[2];
const refusal = async (asking) => {
  try {
    await asking;
    return null;
  } catch (error) {
    return { code: error.code, message: error.message };
  }
};

async function binanceApiNode() {
  const client = api({ httpBase: base });
  const info = await client.exchangeInfo();
  return {
    ping: await client.ping(),
    time: await client.time(),
    symbols: info.symbols.map((each) => each.symbol),
    book: await client.book({ symbol: "ETHUSDT", limit: 5 }),
    deep: await client.book({ symbol: "ETHUSDT", limit: 5000 }),
    tickers: await client.allBookTickers(),
    unknown: await refusal(client.book({ symbol: "NOSUCH" })),
  };
}

// Its getServerTime() asks api.binance.com whatever the base URL is.
async function binance() {
  const client = new MainClient({ baseUrl: base, disableTimeSync: true });
  const info = await client.getExchangeInfo({ symbols: ["BTCUSDT", "ETHUSDT"] });
  return {
    ping: await client.testConnectivity(),
    symbols: info.symbols.map((each) => each.symbol),
    book: await client.getOrderBook({ symbol: "ETHUSDT", limit: 5 }),
    ticker: await client.getSymbolOrderBookTicker({ symbol: "ETHUSDT" }),
    tickers: await client.getSymbolOrderBookTicker({ symbols: ["BTCUSDT", "ETHUSDT"] }),
    weights: client.getRateLimitStates(),
    unknown: await refusal(client.getOrderBook({ symbol: "NOSUCH" })),
  };
}

(async () => {
  console.log(JSON.stringify({ "binance-api-node": await binanceApiNode(), binance: await binance() }));
})();
