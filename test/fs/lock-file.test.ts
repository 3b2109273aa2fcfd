import { execFileSync } from 'node:child_process'
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { lockFileText } from '../../src/domain/lock/lock-file.ts'
import { claim, debrisIn, inspect, isStill, rewrite } from '../../src/files/deliverable/lock-file.ts'
import { foreignText, refusalOf } from '../support/deliverable.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { facts, ref, there, withCall } from './lock-facts.ts'

const text = lockFileText(facts)

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

const files = suite('lock file steps')
let folder = ''
let lock = ''
files.before.each(() => {
  folder = temporaryRoot()
  lock = join(folder, '.lock')
})

files('claim puts the bytes in place and leaves nothing beside them', async () => {
  const claimed = there(await claim(folder, ref, text))
  equal(readdirSync(folder), ['.lock'])
  is(readFileSync(lock, 'utf8'), text)
  is(statSync(lock, { bigint: true }).ino, claimed.ino)
  is(statSync(lock).nlink, 1)
  ok(await isStill(lock, claimed))
})

files('claim makes the file readable for every user, whatever the umask', async () => {
  const umask = process.umask(0o077)
  try {
    await claim(folder, ref, text)
    is(statSync(lock).mode & 0o777, 0o644)
  } finally {
    process.umask(umask)
  }
})

files('claim fails without changes if a file exists', async () => {
  for (const [what, make] of Object.entries({
    file: () => writeFileSync(lock, 'theirs'),
    folder: () => mkdirSync(lock),
    'dangling link': () => symlinkSync('nowhere', lock),
  })) {
    folder = temporaryRoot()
    lock = join(folder, '.lock')
    make()
    is(await claim(folder, ref, text), undefined, what)
    equal(readdirSync(folder), ['.lock'], what)
  }
})

files('claim trusts the link count, not the result of link()', async () => {
  // The network file system's classic: the link was made and its answer lost.
  await withCall(
    'link',
    (original) => async (from: string, to: string) => {
      await original(from, to)
      throw systemError('EEXIST')
    },
    async () => {
      ok((await claim(folder, ref, text)) !== undefined)
    },
  )
  unlinkSync(lock)
  await withCall(
    'link',
    () => async () => {},
    async () => is(await claim(folder, ref, text), undefined),
  )
  equal(readdirSync(folder), [])
})

files('claim clears a temporary that a crash left under its own name', async () => {
  writeFileSync(join(folder, `.lock.${ref}.tmp`), 'cut')
  ok((await claim(folder, ref, text)) !== undefined)
  equal(readdirSync(folder), ['.lock'])
})

for (const [code, expected] of Object.entries({
  ENOTSUP: 'LINK_UNSUPPORTED',
  EOPNOTSUPP: 'LINK_UNSUPPORTED',
  ENOSYS: 'LINK_UNSUPPORTED',
  EPERM: 'LINK_UNSUPPORTED',
  EACCES: 'FILE_DENIED',
  EROFS: 'FILE_READ_ONLY',
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  EIO: 'FILE_FAILED',
})) {
  files(`claim returns ${expected} if link() fails with ${code}, and leaves nothing behind`, async () => {
    await withCall(
      'link',
      () => () => Promise.reject(systemError(code)),
      async () => is((await refusalOf(claim(folder, ref, text))).code, expected),
    )
    equal(readdirSync(folder), [])
  })
}

files('isStill detects a file that reuses the inode of the unlinked file', async () => {
  const claimed = there(await claim(folder, ref, text))
  // What a foreign tool's unlink and create come to where the inode is given out again: same number, other bytes.
  writeFileSync(lock, foreignText())
  is(statSync(lock, { bigint: true }).ino, claimed.ino)
  is(await isStill(lock, claimed), false)
})

files('isStill is false for another file with the same bytes, for a missing file, and for a link', async () => {
  const claimed = there(await claim(folder, ref, text))
  linkSync(lock, join(folder, 'kept'))
  unlinkSync(lock)
  is(await isStill(lock, claimed), false)
  writeFileSync(lock, text)
  is(await isStill(lock, claimed), false)
  unlinkSync(lock)
  symlinkSync('kept', lock)
  is(await isStill(lock, claimed), false)
})

files('inspect reads a plain file, and returns undefined if there is none', async () => {
  is(await inspect(lock), undefined)
  writeFileSync(lock, text)
  const seen = there(await inspect(lock))
  is(seen.text, text)
  is(seen.content?.holder, 'agent-1')
})

files('inspect returns no content for anything that is not a lock file', async () => {
  const rows: Record<string, string | Uint8Array> = {
    empty: '',
    cut: text.slice(0, 100),
    'not JSON': 'LOCKED',
    'an array': '[]',
    null: 'null',
    'without a pid': foreignText({ pid: undefined }),
    'a text as pid': foreignText({ pid: '7' }),
    'a fractional lease': foreignText({ lease_duration_s: 1.5 }),
    'a time that is none': foreignText({ acquired: 'yesterday' }),
    'a lone surrogate as holder': foreignText().replace('foreign-tool', '\\ud800'),
    'a holder of 100,000 characters': foreignText({ holder: 'x'.repeat(50_000) }),
    'a time of 1,000 digits': foreignText({ acquired: `2026-02-02T12:00:00.${'0'.repeat(1_000)}Z` }),
    'another major version': foreignText({ schema_version: '2.0' }),
    'bytes that are no text': Uint8Array.from([0xff, 0xfe, 0, 1]),
    '1 MB': 'x'.repeat(1_000_000),
  }
  for (const [what, content] of Object.entries(rows)) {
    writeFileSync(lock, content)
    is(there(await inspect(lock)).content, undefined, what)
  }
})

files('inspect tolerates further members and minor versions', async () => {
  for (const schema_version of ['1', '1.0', '1.7', undefined]) {
    writeFileSync(lock, foreignText({ schema_version, note: 'x', nested: { deep: true } }))
    is(there(await inspect(lock)).content?.holder, 'foreign-tool', String(schema_version))
  }
})

for (const [what, make] of Object.entries({
  folder: () => mkdirSync(lock),
  'link to a file': () => {
    writeFileSync(join(folder, 'other'), text)
    symlinkSync('other', lock)
  },
  'dangling link': () => symlinkSync('nowhere', lock),
  pipe: () => execFileSync('mkfifo', [lock]),
})) {
  files(`inspect refuses a ${what} in place of the lock, without waiting for it`, async () => {
    make()
    is((await refusalOf(inspect(lock))).code, 'LOCK_PLACEMENT')
  })
}

const renewed = lockFileText({ ...facts, acquired: '2026-02-02T12:05:00.000Z' })

files('rewrite changes the bytes in place: same inode, same length', async () => {
  await claim(folder, ref, text)
  const judged = there(await inspect(lock))
  is(await rewrite(lock, judged, renewed), true)
  is(readFileSync(lock, 'utf8'), renewed)
  is(statSync(lock, { bigint: true }).ino, judged.ino)
  is(statSync(lock).size, 1024)
})

for (const [what, change] of Object.entries({
  'another file': () => {
    linkSync(lock, join(folder, 'kept'))
    unlinkSync(lock)
    writeFileSync(lock, text)
  },
  'other bytes of the same length in the same inode': () => writeFileSync(lock, text.replace('agent-1', 'agent-2')),
  'a longer file': () => writeFileSync(lock, `${text} `),
  'no file': () => unlinkSync(lock),
  'a link': () => {
    linkSync(lock, join(folder, 'kept'))
    unlinkSync(lock)
    symlinkSync('kept', lock)
  },
})) {
  files(`rewrite changes nothing if it finds ${what}`, async () => {
    await claim(folder, ref, text)
    const judged = there(await inspect(lock))
    change()
    const before = readdirSync(folder).map((name) => readFileOrNothing(join(folder, name)))
    is(await rewrite(lock, judged, renewed), false)
    equal(
      readdirSync(folder).map((name) => readFileOrNothing(join(folder, name))),
      before,
    )
  })
}

files('rewrite reports a file that was replaced while it was written', async () => {
  await claim(folder, ref, text)
  const judged = there(await inspect(lock))
  await withCall(
    'open',
    (original) =>
      async (...words: Parameters<typeof original>) => {
        const handle = await original(...words)
        unlinkSync(lock)
        writeFileSync(lock, foreignText())
        return handle
      },
    async () => is(await rewrite(lock, judged, renewed), false),
  )
  ok(readFileSync(lock, 'utf8').includes('foreign-tool'))
})

files('debrisIn tells temporaries and asides of locks from files that merely look like them', async () => {
  const names = [
    '.lock',
    `.lock.${ref}.tmp`,
    '.lock.aside.a-_Z9',
    '.lock.bak',
    '.lock.aside.',
    `.lock.${ref}x.tmp`,
    'a',
  ]
  for (const name of names) writeFileSync(join(folder, name), '')
  equal(await debrisIn(folder), {
    temporaries: [join(folder, `.lock.${ref}.tmp`)],
    asides: [join(folder, '.lock.aside.a-_Z9')],
  })
  is((await refusalOf(debrisIn(join(folder, 'missing')))).code, 'NOT_FOUND')
})

files(
  'a lock file is pretty JSON of 1,024 bytes: six fields, schema_version, ledger, lock_ref, evidence, no token',
  () => {
    is(Buffer.byteLength(text), 1024)
    ok(/^\{\n {2}"schema_version": "1\.0",\n/.test(text))
    ok(text.endsWith(' \n'))
    equal(Object.keys(JSON.parse(text)), [
      'schema_version',
      'deliverable_id',
      'holder',
      'acquired',
      'lease_duration_s',
      'pid',
      'ledger',
      'lock_ref',
      'evidence',
    ])
  },
)

function readFileOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

files.run()
