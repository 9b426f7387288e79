// Runs a CloudFront function over the events on standard input, one JSON document a line, and prints what it
// returns, one a line. Usage: node cloudfront.mjs FUNCTION.js
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import vm from 'node:vm';

const selected = [];
const source = readFileSync(process.argv[2], 'utf8').replace(/^import cf from 'cloudfront';$/m, '');
// A context with nothing of node's, as CloudFront's engine has nothing of it.
const context = vm.createContext({ cf: { selectRequestOriginById: (id) => selected.push(id) } });
vm.runInContext(source, context, { timeout: 1000 });
const handler = vm.runInContext('handler', context);

for await (const line of createInterface({ input: process.stdin })) {
    const event = JSON.parse(line);
    if (event.request) {
        const raw = event.request.raw;
        delete event.request.raw;
        event.request.rawQueryString = () => raw;
    }
    const returned = handler(event);
    console.log(JSON.stringify({ returned, origin: selected.pop() ?? null }));
}
