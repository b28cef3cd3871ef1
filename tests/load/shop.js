// The scenario for k6: `URL=http://127.0.0.1:8080 k6 run tests/load/shop.js`. What it does and what must hold is in scenario.json,
// which locustfile.py reads too.
import http from 'k6/http';
import { check, fail, sleep } from 'k6';
import { Counter } from 'k6/metrics';

const scenario = JSON.parse(open('./scenario.json'));
const base = (__ENV.URL || 'http://127.0.0.1:8080').replace(/\/$/, '');
const NEW_TARGET = 'https://example.com/made-by-the-load';
const CHANGED_TARGET = 'https://example.com/changed-by-the-load';

const failedWrites = new Counter('failed_writes');

export const options = {
  stages: scenario.stages,
  maxRedirects: 0,
  thresholds: {
    http_req_failed: ['rate==0'],
    http_req_duration: [`p(95)<=${scenario.p95_ms}`],
    checks: ['rate==1'],
    failed_writes: ['count==0'],
  },
};

// The URLs to follow: none of the load's own, so none that changes.
export function setup() {
  if (!/^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(base)) {
    fail(`${base}: the load goes to http:// on loopback only`);
  }
  const known = [];
  for (let page = 1; page <= 5; page += 1) {
    const rows = ask('GET', `/urls?per_page=100&page=${page}`, '/urls').json();
    known.push(...rows.filter((row) => row.is_active && ![NEW_TARGET, CHANGED_TARGET].includes(row.original_url)));
  }
  if (known.length === 0) {
    fail('there are no active URLs: run `python -m app seed` first');
  }
  return known;
}

// Of this virtual user alone.
const mine = [];

const steps = {
  follow(known) {
    const url = oneOf(known);
    const answer = ask('GET', `/${url.short_code}`, '/:code');
    check(answer, {
      'follow: 302 to the target': (got) => got.status === 302 && got.headers.Location === url.original_url,
    });
  },
  read(known) {
    const url = oneOf(known);
    const answer = ask('GET', `/urls/${url.id}`, '/urls/:id');
    check(answer, { 'read: 200 with the URL': (got) => got.status === 200 && got.json('original_url') === url.original_url });
  },
  list(known) {
    check(ask('GET', `/urls?user_id=${oneOf(known).user_id}`, '/urls'), { 'list: 200': (got) => got.status === 200 });
  },
  create(known) {
    const body = { user_id: oneOf(known).user_id, original_url: NEW_TARGET };
    const answer = ask('POST', '/urls', '/urls', body);
    if (wrote(answer, { 'create: 201': (got) => got.status === 201 && got.json('original_url') === NEW_TARGET })) {
      mine.push(answer.json('id'));
    }
  },
  change(known) {
    if (mine.length === 0) {
      steps.create(known);
      return;
    }
    const body = { original_url: CHANGED_TARGET, is_active: Math.random() < 0.5 };
    const answer = ask('PUT', `/urls/${oneOf(mine)}`, '/urls/:id', body);
    wrote(answer, { 'change: 200': (got) => got.status === 200 && got.json('is_active') === body.is_active });
  },
  remove(known) {
    if (mine.length === 0) {
      steps.create(known);
      return;
    }
    wrote(ask('DELETE', `/urls/${mine.pop()}`, '/urls/:id'), { 'remove: 204': (got) => got.status === 204 });
  },
};

export default function visit(known) {
  let left = Math.random() * Object.values(scenario.mix).reduce((sum, weight) => sum + weight, 0);
  const [name] = Object.entries(scenario.mix).find(([, weight]) => (left -= weight) < 0);
  steps[name](known);
  sleep(scenario.think_seconds);
}

function ask(method, path, name, body) {
  const headers = { 'Content-Type': 'application/json' };
  if (__ENV.LOAD_EXEMPTION) {
    headers['X-Rate-Limit-Exemption'] = __ENV.LOAD_EXEMPTION;
  }
  return http.request(method, base + path, body ? JSON.stringify(body) : null, { headers, tags: { name }, timeout: '10s' });
}

function wrote(answer, expected) {
  const done = check(answer, expected);
  failedWrites.add(done ? 0 : 1);
  return done;
}

function oneOf(list) {
  return list[Math.floor(Math.random() * list.length)];
}
