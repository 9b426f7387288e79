// CloudFront function (cloudfront-js-2.0) at viewer-request: turns a request into the key of its file, answers what
// needs no file, and refuses what the exchange would refuse, in its words and order (docs/compatibility.md). Where
// there are servers, all but Binance's spot books, ping and time is theirs; where there are none, the books of the venue
// that the stack keeps are answered here, too. Pure but for the clock and the choice of the origin.
//
// Text is held as ASCII: bytes beyond it, and "%" itself, as upper-case escapes. So neither the engine's idea of
// a string nor bytes that are not UTF-8 matter.
import cf from 'cloudfront';

// The limits that are published, whose books they are, and the origin of servers, which are asked what files cannot
// answer; empty: none.
const LIMITS = [5,10,20,50,100,500,1000,5000];
const VENUES = 'binance'.split(',');
const SERVER = 'server';

const ALLOW = 'GET, HEAD, OPTIONS';
const OWN = ['/api/v3/depth', '/api/v3/ping', '/api/v3/time'];
// The folder of a venue's files, and the call (docs/venues.md); Coinbase's products are parts of the path.
const PLACES = {
    binance: /^(\/api\/v3\/)(\w+)$/,
    binanceus: /^(\/binanceus\/api\/v3\/)(\w+)$/,
    binanceusdm: /^(?:\/binanceusdm)?(\/fapi\/v1\/)(\w+)$/,
    binancecoinm: /^(?:\/binancecoinm)?(\/dapi\/v1\/)(\w+)$/,
    coinbaseexchange: /^(?:\/coinbaseexchange)?(\/products\/)([^/]+)\/book$/,
    bitmex: /^(?:\/bitmex)?(\/api\/v1\/orderBook\/)(L2)$/,
};
const FUTURES = [5, 10, 20, 50, 100, 500, 1000];
const STATUSES = {
    '/sapi/v1/system/status': '/sapi/v1/system/status',
    '/metadata/tradingStatus': '/metadata/current/tradingStatus',
};
const ILLEGAL = "Illegal characters found in parameter '";
const LEGAL = "limit'; legal range is '^[0-9]{1,20}$'.";
const DIGITS = /^[0-9]{1,20}$/;
const SYMBOL = /^(?:[A-Z0-9_.-]|%(?:C[2-9A-F]|D[0-9A-F])%[89AB][0-9A-F]|%E[0-9A-F](?:%[89AB][0-9A-F]){2}|%F[0-4](?:%[89AB][0-9A-F]){3}){1,50}$/;

function answer(status, body, more) {
    const headers = {
        'content-type': { value: 'application/json;charset=UTF-8' },
        'cache-control': { value: 'no-store' },
        'access-control-allow-origin': { value: '*' },
        'x-content-type-options': { value: 'nosniff' },
    };
    for (const name in more) headers[name] = { value: more[name] };
    const made = { statusCode: status, headers: headers };
    if (body) made.body = { encoding: 'text', data: body };
    return made;
}

function refuse(code, msg) {
    return answer(400, JSON.stringify({ code: code, msg: msg }));
}

function missing() {
    return refuse(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.");
}

function empty(name) {
    return refuse(-1105, "Parameter '" + name + "' was empty.");
}

// Form decoding: "+" is a space, "%XX" a byte. What does not decode stays as it is.
function decode(raw) {
    return raw.replace(/\+/g, ' ').replace(/[^\x00-\x7f]+/g, function (text) {
        try {
            return encodeURIComponent(text);
        } catch (_) {
            return '%FF';
        }
    }).replace(/%([0-9A-Fa-f]{2})|%/g, function (_, hex) {
        const byte = hex ? parseInt(hex, 16) : 0x25;
        return byte < 0x80 && byte !== 0x25 ? String.fromCharCode(byte) : '%' + (hex || '25').toUpperCase();
    });
}

function readable(text) {
    try {
        return decodeURIComponent(text);
    } catch (_) {
        return text.replace(/%25/g, '\0').replace(/(?:%[0-9A-F]{2})+/g, '\ufffd').replace(/\0/g, '%');
    }
}

// The decoded parameters by name, or the refusal: a name sent twice, or more of them than are known.
function parameters(raw, known) {
    const sent = {};
    let count = 0;
    const parts = raw.split('&');
    for (let i = 0; i < parts.length; i++) {
        const at = parts[i].indexOf('=');
        const name = decode(at < 0 ? parts[i] : parts[i].slice(0, at));
        if (!name) continue;
        // Behind a "=", so that no name is one that every object has.
        if (sent['=' + name] !== undefined) {
            return { refusal: refuse(-1101, "Duplicate values for parameter '" + readable(name) + "'.") };
        }
        sent['=' + name] = at < 0 ? '' : decode(parts[i].slice(at + 1));
        count += 1;
    }
    if (count > known) {
        const msg = "Too many parameters; expected '" + known + "' and received '" + count + "'.";
        return { refusal: refuse(-1101, msg) };
    }
    return { sent: sent, count: count };
}

function unread(read, sent) {
    return refuse(-1104, "Not all sent parameters were read; read '" + read + "' parameter(s) but was sent '" + sent + "'.");
}

// What is wrong with a symbol that was sent, if anything.
function fault(symbol) {
    if (symbol === '') return empty('symbol');
    if (SYMBOL.test(symbol)) return null;
    return refuse(-1100, ILLEGAL + "symbol'; legal range is '^[\\w\\-._&&[^a-z]]{1,50}$'.");
}

// The request for a file. The query string is not sent besides.
function read(request, uri) {
    request.uri = uri;
    request.querystring = {};
    return request;
}

// The file of a symbol's book. Its key is wholly escaped, as it is signed.
function book(request, root, symbol, name, limit) {
    return read(request, root + '%3Fsymbol%3D' + symbol + '%26' + name + '%3D' + limit);
}

// The list of symbols, or its cut that has one symbol. Another part of it no file is.
function list(request, raw, root) {
    const parsed = parameters(raw, 1);
    if (parsed.refusal) return parsed.refusal;
    const symbol = parsed.sent['=symbol'];
    if (symbol === undefined) return parsed.count ? unread(0, parsed.count) : read(request, request.uri);
    return fault(symbol) || read(request, root + 'exchangeInfo%3Fsymbol%3D' + symbol);
}

// Futures have seven limits and no others, and pass over what they do not know.
function contracts(request, raw, root) {
    const parsed = parameters(raw, Infinity);
    if (parsed.refusal) return parsed.refusal;
    const symbol = parsed.sent['=symbol'];
    const text = parsed.sent['=limit'];
    if (symbol === undefined) return missing();
    const wrong = fault(symbol.toUpperCase());
    if (wrong) return wrong;
    if (text === '') return empty('limit');
    if (text !== undefined && !DIGITS.test(text)) return refuse(-1100, ILLEGAL + LEGAL);
    const limit = text === undefined ? 500 : Number(text);
    if (!FUTURES.includes(limit) || !LIMITS.includes(limit)) return refuse(-4021, text + ' is not valid depth limit');
    // A moment of the past is a server's.
    if (parsed.sent['=at'] !== undefined) return unread(1 + (text !== undefined), parsed.count);
    return book(request, root + 'depth', symbol.toUpperCase(), 'limit', limit);
}

// What was sent by a name, each time. Coinbase and BitMEX take the last one, and refuse a bad one before it, too.
function values(raw, name) {
    return raw.split('&').map(function (part) {
        const at = part.indexOf('=');
        return at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))];
    }).filter(function (pair) {
        return pair[0] === name;
    }).map(function (pair) {
        return pair[1];
    });
}

function product(request, raw, root, part) {
    const levels = values(raw, 'level');
    if (!levels.every(function (text) { return /^0{0,8}[123]$/.test(text); })) {
        return answer(400, '{"message":"unexpected level: _"}');
    }
    const symbol = decode(part);
    if (!SYMBOL.test(symbol) || /^\.\.?$/.test(symbol)) return answer(404, '{"message":"NotFound"}');
    return read(request, root + symbol + '/book%3Flevel%3D' + Number(levels.pop() || 1));
}

function instrument(request, raw, root) {
    const refused = function (status, msg) {
        return answer(status, JSON.stringify({ error: { message: msg, name: 'HTTPError' } }));
    };
    const depths = values(raw, 'depth');
    if (!depths.every(function (text) { return /^[0-9]{1,10}$/.test(text) && Number(text) <= 2147483647; })) {
        return refused(400, "'depth' must be a non-negative integer.");
    }
    const symbol = values(raw, 'symbol').pop();
    if (!symbol) return refused(400, "'symbol' is a required arg.");
    if (!SYMBOL.test(symbol)) return refused(404, 'Not Found');
    const limit = Number(depths.length ? depths.pop() : 25);
    if (!LIMITS.includes(limit)) return refused(400, 'This depth is not published.');
    return book(request, root + 'L2', symbol, 'depth', limit);
}

function depth(request, raw, root) {
    const parsed = parameters(raw, 3);
    if (parsed.refusal) return parsed.refusal;
    const sent = parsed.sent;
    const symbol = sent['=symbol'];
    if (symbol === undefined) return missing();
    const wrong = fault(symbol);
    if (wrong) return wrong;
    let limit = 100;
    const text = sent['=limit'];
    if (text !== undefined) {
        if (text === '') return empty('limit');
        if (!DIGITS.test(text)) return refuse(-1100, ILLEGAL + LEGAL);
        limit = Number(text);
        if (limit > 2147483647) return refuse(-1108, "Parameter 'limit' overflowed.");
        if (limit === 0) return refuse(-1130, "Data sent for parameter 'limit' is not valid.");
        limit = Math.min(limit, 5000);
    }
    const status = sent['=symbolStatus'];
    if (status === '') return empty('symbolStatus');
    if (status !== undefined && !/^(?:TRADING|HALT|BREAK)$/.test(status)) {
        return refuse(-1122, 'Invalid symbolStatus.');
    }
    const known = 1 + (text !== undefined) + (status !== undefined);
    if (known < parsed.count) return unread(known, parsed.count);

    if (status === undefined && LIMITS.includes(limit)) {
        return book(request, root + 'depth', symbol, 'limit', limit);
    }
    if (!SERVER) {
        return status === undefined
            ? refuse(-1130, "Data sent for parameter 'limit' is not valid.")
            : unread(known - 1, parsed.count);
    }
    request.querystring = { symbol: { value: symbol }, limit: { value: String(limit) } };
    if (status !== undefined) request.querystring.symbolStatus = { value: status };
    cf.selectRequestOriginById(SERVER);
    return request;
}

// The venue that answers at a path, the folder of its files, and the call.
function place(uri) {
    for (const venue in PLACES) {
        const parts = PLACES[venue].exec(uri);
        if (parts && (venue === 'binance' || VENUES.includes(venue))) return [venue, parts[1], parts[2]];
    }
    return ['', '', ''];
}

function handler(event) {
    const request = event.request;
    // Accounts are not for the public, whatever the servers were told.
    if (/\/private(?:\/|$)/i.test(decode(request.uri))) return answer(404, '');
    if (SERVER && !OWN.includes(request.uri)) return request;
    if (request.method === 'OPTIONS') {
        return answer(204, '', {
            'allow': ALLOW,
            'access-control-allow-methods': ALLOW,
            'access-control-allow-headers': '*',
            'access-control-max-age': '86400',
        });
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, '', { 'allow': ALLOW });
    const raw = request.rawQueryString() || '';
    if (raw.length > 8192) return answer(414, '');
    const found = place(request.uri);
    if (found[0] === 'coinbaseexchange') return product(request, raw, found[1], found[2]);
    if (found[0] === 'bitmex') return instrument(request, raw, found[1]);
    const unit = request.headers['x-mbx-time-unit'];
    if (unit && !/^(?:MILLISECOND|millisecond|MICROSECOND|microsecond)$/.test(unit.value)) {
        return refuse(-1194, 'Invalid value for time unit; expected either MICROSECOND or MILLISECOND.');
    }
    const root = found[1];
    const call = found[2];
    const futures = /^.[fd]api/.test(root);
    if (call === 'depth') return futures ? contracts(request, raw, root) : depth(request, raw, root);
    if (call === 'exchangeInfo' && !futures) return list(request, raw, root);
    if (!/^(?:ping|time|exchangeInfo)$/.test(call) && !STATUSES[request.uri]) return answer(404, '');
    const refusal = parameters(raw, futures ? Infinity : 0).refusal;
    if (refusal) return refusal;
    if (STATUSES[request.uri]) return read(request, STATUSES[request.uri]);
    if (call === 'exchangeInfo') return read(request, root + call);
    if (call === 'ping') return answer(200, '{}');
    const micro = unit && unit.value.toUpperCase() === 'MICROSECOND';
    return answer(200, '{"serverTime":' + Date.now() + (micro ? '000' : '') + '}');
}
