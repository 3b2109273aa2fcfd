import { suite } from 'uvu'
import { is } from 'uvu/assert'
import { isoMillis } from '../../../src/domain/lock/iso-time.ts'

const test = suite('times in the files of other tools')
const noon = Date.UTC(2026, 1, 2, 12, 0, 0)

for (const text of [
  '2026-02-02T12:00:00Z',
  '2026-02-02T12:00:00.000Z',
  '2026-02-02T12:00:00',
  '2026-02-02T12:00',
  '2026-02-02T12:00Z',
  '2026-02-02T12',
  '2026-02-02 12:00:00',
  '2026-02-02t12:00:00z',
  '20260202T120000Z',
  '20260202T120000',
  '20260202T1200Z',
  '2026-02-02T12:00:00+00:00',
  '2026-02-02T12:00:00+0000',
  '2026-02-02T12:00:00-0000',
  '2026-02-02T13:30:00+0130',
  '2026-02-02T13:00:00+01',
  '20260202T070000-0500',
  '2026-02-01T23:00-13:00',
]) {
  test(`${text} is noon in UTC`, () => is(isoMillis(text), noon))
}

test('fractions of a second are cut to milliseconds, with a point or a comma', () => {
  is(isoMillis('2026-02-02T12:00:00.123456789Z'), noon + 123)
  is(isoMillis('2026-02-02T12:00:00,5'), noon + 500)
})

test('years before 100 are not taken for those of the last century', () => {
  is(new Date(isoMillis('0070-01-01T00:00Z') ?? 0).getUTCFullYear(), 70)
})

for (const text of [
  '',
  'noon',
  '2026-02-02',
  '2026-02-30T12:00:00Z',
  '2026-13-01T12:00:00Z',
  '2026-02-02T24:00:00Z',
  '2026-02-02T12:60Z',
  '2026-02-02T12:00:60Z',
  '2026-02-02T12:00:00+25:00',
  '2026-02-02T12:00:00 Z',
  '2026-02-02T12:00:00Zulu',
  ' 2026-02-02T12:00:00Z',
  '26-02-02T12:00:00Z',
  '1770033600',
]) {
  test(`"${text}" is no time`, () => is(isoMillis(text), undefined))
}

test.run()
