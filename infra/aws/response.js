// CloudFront function (cloudfront-js-2.0) at viewer-response: says what the file's metadata says in the server's
// headers, and nothing of the store's own. An answer of a server has them already and is left as it is.
const STALE_AFTER_S = 5;

function certain(levels) {
    return levels.endsWith('+') ? levels.slice(0, -1) + ';complete' : levels;
}

function handler(event) {
    const response = event.response;
    const headers = response.headers;
    const metadata = {};
    Object.keys(headers).forEach(function (name) {
        if (name.startsWith('x-amz-') && !name.startsWith('x-amz-cf-')) {
            metadata[name.replace('x-amz-meta-', '')] = headers[name].value;
            delete headers[name];
        }
    });
    // What the exchange says of itself: JSON as ours is, and not to grow older than it must.
    if (metadata.fingerprint !== undefined) {
        headers['content-type'] = { value: 'application/json;charset=UTF-8' };
        headers['cache-control'] = { value: 'no-store' };
        headers['depthcast-sequence'] = { value: metadata.sequence };
        headers['depthcast-observed-time'] = { value: metadata['observed-time'] };
    }
    if (metadata.epoch === undefined) return response;
    const status = metadata.status || 'TRADING';
    const age = headers.age ? Number(headers.age.value) : 0;
    // Held for longer than any file is fresh: the store could not be asked (stale-if-error).
    // Never "live", which would promise that somebody hears the exchange (docs/freshness.md): a file does not tell.
    const state = age > STALE_AFTER_S ? 'stale' : status === 'TRADING' ? undefined : 'halted';
    const said = {
        'content-type': 'application/json;charset=UTF-8',
        'cache-control': 'public, max-age=0, s-maxage=1, stale-while-revalidate=1',
        'depthcast-epoch': metadata.epoch,
        'depthcast-certain':
            'bids=' + certain(metadata['certain-bids']) + ', asks=' + certain(metadata['certain-asks']),
        // What a file tells is when its book was true: at the exchange's time of the last change.
        'depthcast-current-time': metadata['event-time'] === '0' ? undefined : metadata['event-time'],
        'depthcast-event-time': metadata['event-time'],
        'depthcast-publish-time': metadata['publish-time'],
        'depthcast-status': status,
        'depthcast-state': state,
    };
    for (const name in said) if (said[name] !== undefined) headers[name] = { value: said[name] };
    if (response.statusCode === 304) delete headers['content-type'];
    return response;
}
