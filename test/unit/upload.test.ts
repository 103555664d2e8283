import test from 'ava';
import { ITEMS_QUEUED_MAX, UNACKED_MAX } from '../../lib/limits.js';
import { Rto } from '../../lib/transfer/rto.js';
import { Upload } from '../../lib/transfer/upload.js';

test('requests of one connection are served in turn', (t) => {
  const upload = new Upload();
  upload.request(1, [0, 1, 2]);
  upload.request(2, [0, 1, 2]);
  const order = Array.from({ length: 6 }, () => upload.next(0)?.number);
  t.deepEqual(order, [1, 2, 1, 2, 1, 2]);
});

test('no more than a window is unacknowledged; acknowledgements open it', (t) => {
  const upload = new Upload();
  upload.request(
    1,
    Array.from({ length: 200 }, (_, i) => i),
  );
  for (let i = 0; i < UNACKED_MAX; i++) t.not(upload.next(0), undefined);
  t.is(upload.next(0), undefined);
  t.is(upload.acked(1, [0, 1, 2], 5), 3);
  t.is(upload.acked(1, [0, 1, 2], 5), 0, 'a second time they are nothing new');
  t.deepEqual(upload.next(6), { number: 1, index: UNACKED_MAX });
});

test('a thousand requests for the same block queue it once', (t) => {
  const upload = new Upload();
  for (let i = 0; i < 1000; i++) upload.request(1, [7]);
  t.deepEqual(upload.next(0), { number: 1, index: 7 });
  t.is(upload.next(0), undefined);
});

test('what is asked for beyond the queue is not remembered', (t) => {
  const upload = new Upload();
  upload.request(
    1,
    Array.from({ length: 100_000 }, (_, i) => i),
  );
  let sent = 0;
  for (let item = upload.next(0); item; item = upload.next(0)) {
    upload.acked(1, [item.index], 0);
    sent++;
  }
  t.is(sent, ITEMS_QUEUED_MAX);
});

test('a request never acknowledged is given up, and others go on', (t) => {
  const upload = new Upload();
  upload.request(1, [0]);
  let now = 0;
  let lost: number[] = [];
  for (let i = 0; i < 20 && lost.length === 0; i++) {
    upload.next(now);
    now = upload.deadline() ?? now;
    lost = upload.expire(now);
  }
  t.deepEqual(lost, [1]);
  upload.request(2, [0]);
  t.deepEqual(upload.next(now), { number: 2, index: 0 });
});

test('a dropped request leaves nothing behind', (t) => {
  const upload = new Upload();
  upload.request(1, [0, 1, 2]);
  upload.next(0);
  upload.drop(1);
  t.is(upload.next(0), undefined);
  t.is(upload.inFlight, 0);
  t.is(upload.deadline(), undefined);
});

test('the time-out follows RFC 6298', (t) => {
  const rto = new Rto(3000, 1, 60_000);
  t.is(rto.value, 3000);
  rto.sample(100);
  t.is(rto.value, 100 + 4 * 50);
  rto.sample(100);
  // rttvar = 3/4 × 50, srtt = 100.
  t.is(rto.value, 100 + 4 * 37.5);
  rto.backOff();
  t.is(rto.value, 2 * 250);
  for (let i = 0; i < 20; i++) rto.backOff();
  t.true(rto.value <= 60_000);
  rto.sample(100);
  t.true(rto.value < 300, 'a measurement ends the back-off');
});
