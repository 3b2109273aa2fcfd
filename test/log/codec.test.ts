import { suite } from 'uvu'
import { equal, instance, is, not, throws } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { type Entry, entryOf } from '../../src/kernel/entry.ts'
import { decode, encode, seal, unseal } from '../../src/log/keyed/rows/codec.ts'
import { entryKey, rowKey, tileKey } from '../../src/log/keyed/rows/keys.ts'
import { testActor } from '../support/ledger.ts'
import { randomBelow } from '../support/seed.ts'

const codec = suite('the codec')
const random = randomBelow('codec')
const key = entryKey(7)

/** The details of the LEDGER_CORRUPT that reading ends with. */
function corruptionOf(read: () => unknown): Record<string, unknown> {
  try {
    read()
  } catch (error) {
    instance(error, LockstepError)
    is((error as LockstepError).code, 'LEDGER_CORRUPT')
    return (error as LockstepError).details
  }
  throw new Error('the damage was not found')
}

codec('ends every value in the CRC-32 of its key and bytes', () => {
  // The check value of CRC-32/ISO-HDLC: of "123456789" it is cbf43926.
  const sealed = seal(Buffer.from('1234'), Buffer.from('56789'))
  is(sealed.toString('latin1', 0, 5), '56789')
  is(sealed.toString('hex', 5), 'cbf43926')
  is(unseal(Buffer.from('1234'), sealed).toString(), '56789')
})

codec('writes the same bytes for ever', () => {
  const value = { a: 1, b: ['x', null, true, -5], c: { time: '2026-01-02T03:04:05.678Z', z: 2 ** 40 }, ü: 'é€😀' }
  const bytes =
    '84a16101a16294a178c0c3fba16382a474696d65b8323032362d30312d30325430333a30343a30352e3637385aa17acb4270000000000000a2c3bca9c3a9e282acf09f9880'
  is(encode(key, value).subarray(0, -4).toString('hex'), bytes)
  equal(decode(key, encode(key, value)), value)
})

codec('reads an entry back as exactly the text that was hashed', () => {
  const texts = ['plain', 'ü €', '😀 \u2028 "quoted" \\ \u0001', '-0', '__proto__', '9'.repeat(400)]
  for (const text of texts) {
    const entry = entryOf(
      { type: 'audit.recorded', stream: 'audit', data: { notes: text, number: random(2 ** 30) * 2 ** 20 } },
      {
        actor: testActor,
        correlationId: text,
        eventId: 'evt_abcabcabcabc_7',
        previous: null,
        request: { count: 1, index: 0, key: text, sha256: '0'.repeat(64) },
        seq: 7,
        time: '2026-01-02T03:04:05.678Z',
        wallTime: undefined,
      },
    )
    is(JSON.stringify(decode<Entry>(key, encode(key, entry))), JSON.stringify(entry))
  }
})

codec('finds every bit that is flipped, in the value and in the key', () => {
  const value = { last_seq: 12, state: { name: 'resource:x' } }
  for (const place of [key, rowKey(1, 'lock/resource:x'), tileKey(0, 3)]) {
    const sealed = encode(place, value)
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      corruptionOf(() => decode(place, flipped(sealed, bit)))
    }
    for (let bit = 0; bit < place.length * 8; bit += 1) {
      corruptionOf(() => decode(flipped(place, bit), sealed))
    }
  }
})

codec('finds a value that was cut short, or put under another key', () => {
  const sealed = encode(key, { a: 1 })
  for (let length = 0; length < sealed.length; length += 1) {
    corruptionOf(() => decode(key, sealed.subarray(0, length)))
  }
  corruptionOf(() => decode(entryKey(8), sealed))
})

codec('names the entry whose value is damaged, and of another the key alone', () => {
  equal(
    corruptionOf(() => decode(entryKey(2 ** 40 + 3), Buffer.alloc(9))),
    {
      check: 'bytes',
      key: '650000010000000003',
      seq: 2 ** 40 + 3,
    },
  )
  equal(
    corruptionOf(() => decode(tileKey(1, 2), Buffer.alloc(9))),
    { check: 'bytes', key: '74010000000000000002' },
  )
})

codec('says that bytes cannot be unpacked, where only that is wrong', () => {
  const cut = encode(key, { text: 'x'.repeat(100) }).subarray(0, 20)
  throws(() => decode(key, seal(key, cut)), /cannot be unpacked/)
})

codec('takes any bytes of a buffer, wherever they stand in it', () => {
  const sealed = encode(key, { a: 'b' })
  const larger = new Uint8Array(sealed.length + 20)
  larger.set(sealed, 13)
  const view = larger.subarray(13, 13 + sealed.length)
  not.instance(view, Buffer)
  equal(decode(key, view), { a: 'b' })
})

codec.run()

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = Buffer.from(bytes)
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return changed
}
