// limit: 240
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { policyIn, syncWitnesses } from '../../src/witness/sync.ts'
import { human, select } from '../support/approvals.ts'
import { changed, relisted, resealed, unpack } from '../support/bundle.ts'
import { bundlesIn } from '../support/exports.ts'
import { temporaryRoot } from '../support/ledger.ts'
import {
  archiveCase,
  bundleCase,
  growthCase,
  handedOut,
  mutatedCases,
  type PageCase,
  proofCase,
} from '../support/page-cases.ts'
import { editConfig } from '../support/scene.ts'
import { randomBelow } from '../support/seed.ts'
import { askScript, type Evidence, reportOf } from '../support/verify-page.ts'
import { startWitness } from '../support/witness-process.ts'

const verdicts = suite('the verdicts of the page')
const withBundles = bundlesIn(verdicts)
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 60)

/** Steps of the page that check what several of our checks do, or that come earlier than ours. */
const sameSteps: readonly (readonly [page: string, ours: string])[] = [
  ['document', 'entry'],
  ['entries', 'proofs'],
  ['statement', 'key'],
  ['statement', 'manifest'],
]
const isSame = (page = '', ours = '') =>
  page === ours || sameSteps.some(([one, other]) => one === page && other === ours)

async function agrees({ evidence, expected, key, title }: PageCase): Promise<void> {
  const found = await askScript(evidence, key)
  is(found.verdict, expected.verdict, `${title}: ${JSON.stringify({ expected, found })}`)
  ok(isSame(found.failed, expected.failed), `${title}: ${JSON.stringify({ expected, found })}`)
}

withBundles('are those of lockstep/verify and of "export verify", for honest and changed evidence', async (stage) => {
  const { create, ledger, place } = stage
  const vkey = stage.vkey.trim()
  const made = await create({ case_id: 'CASE-17' })
  const all = await handedOut(ledger, made.file)
  const archive: Evidence = { bytes: readFileSync(made.file), name: 'bundle.tar.gz' }
  for (const key of [vkey, '']) {
    const honest = [
      await proofCase('proof', all.proof, key),
      await growthCase('growth', all.growth, key),
      await archiveCase('bundle', archive, made.file, key),
    ]
    for (const one of honest) {
      is(one.expected.verdict, key === '' ? 'unauthenticated' : 'verified', one.title)
      await agrees(one)
    }
  }
  const random = randomBelow('verdicts of the page')
  const folder = temporaryRoot()
  for (const one of await mutatedCases(all, { folder, random, rounds, vkey })) await agrees(one)
  // A flipped bit anywhere in an archive.
  for (let round = 0; round < rounds; round += 1) {
    const bytes = Buffer.from(archive.bytes)
    const at = random(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
    const found = await askScript([{ ...archive, bytes }], vkey)
    is(found.verdict, 'failed', `byte ${at}`)
  }
  equal(await askScript([{ ...archive, name: place('other') }], 'not a key'), { failed: 'key', verdict: 'failed' })
})

withBundles(
  'are the same for an unpacked folder, and for every kind of selection',
  async ({ create, ledger, vkey }) => {
    const { size } = await ledger.head.get()
    const selections = [{ case_id: 'CASE-17' }, { lock: 'reports' }, { run_id: 'run_top_1' }, { from: 2, to: 6 }]
    for (const wanted of selections) {
      const { file } = await create(wanted, { size })
      const folder = [...unpack(file)].map(([name, bytes]) => ({ bytes, name }))
      for (const evidence of [folder, folder.toReversed(), [{ bytes: readFileSync(file), name: 'b' }]]) {
        equal(
          await askScript(evidence, vkey.trim()),
          { failed: undefined, verdict: 'verified' },
          JSON.stringify(wanted),
        )
      }
      for (const at of folder.keys()) {
        const { failed } = await askScript(folder.toSpliced(at, 1), vkey.trim())
        ok(['archive', 'document'].includes(failed ?? ''), `without ${folder[at]?.name}`)
      }
      const extra = [...folder, { bytes: 'a', name: 'extra.txt' }]
      equal(await askScript(extra, vkey.trim()), { failed: 'archive', verdict: 'failed' })
    }
  },
)

withBundles('refuse what the owner of the key changed and signed again', async ({ create, root, vkey }) => {
  const { file } = await create({ run_id: 'run_top_1' })
  const files = unpack(file)
  const folder = temporaryRoot()
  const lines = (change: (all: string[]) => string[]) => (text: string) =>
    `${change(text.trimEnd().split('\n')).join('\n')}\n`
  const both = (change: (all: string[]) => string[]) =>
    changed(changed(files, 'entries.jsonl', lines(change)), 'proofs/inclusion.jsonl', lines(change))
  const rows: [title: string, files: typeof files][] = [
    ['an entry left out', both((all) => all.toSpliced(2, 1))],
    ['two entries swapped', both(([first = '', second = '', ...rest]) => [second, first, ...rest])],
    ['an entry twice', both(([first = '', ...rest]) => [first, first, ...rest])],
    ['a tail cut off', both((all) => all.slice(0, -1))],
    ['another text', changed(files, 'entries.jsonl', (text) => text.replace('run_top_1', 'run_top_2'))],
    ['a space', changed(files, 'entries.jsonl', (text) => text.replace('{', '{ '))],
    [
      'a proof less',
      changed(
        files,
        'proofs/inclusion.jsonl',
        lines((all) => all.slice(1)),
      ),
    ],
    [
      'no entry',
      changed(
        changed(files, 'entries.jsonl', () => ''),
        'proofs/inclusion.jsonl',
        () => '',
      ),
    ],
    ['another count', changed(files, 'manifest.json', (text) => text.replace('"key":"entries","value":"', '$&1'))],
  ]
  for (const [title, wrong] of rows) {
    for (const sealed of [resealed(wrong, root), resealed(relisted(wrong), root)]) {
      const one = await bundleCase(title, sealed, join(folder, 'sealed.tar.gz'), vkey.trim())
      is(one.expected.verdict, 'failed', title)
      is((await askScript(one.evidence, one.key)).verdict, 'failed', title)
    }
  }
})

withBundles('cover the approvals of a bundle', async ({ create, ledger, place, root, vkey }) => {
  const { size } = await ledger.head.get()
  const of = { select, size }
  const one = await ledger.exports.approve({ ...of, actor: human('ana'), approval_type: 'attorney_admin' })
  const two = await ledger.exports.approve({ ...of, actor: human('ben'), approval_type: 'compliance' })
  const { file } = await create(select, { approvals: [one.approval_id, two.approval_id] })
  const report = await reportOf([{ bytes: readFileSync(file), name: 'b' }], vkey.trim())
  is(report.verdict, 'verified', JSON.stringify(report.steps.at(-1)))
  ok(['ana', 'ben'].every((name) => report.claimed.includes(`Approved by ${name}.`)))
  const files = unpack(file)
  const without = new Map([...files].filter(([name]) => name !== 'approvals/entries.jsonl'))
  const rows = [
    changed(files, 'approvals/entries.jsonl', (text) => text.replace('"ana"', '"eve"')),
    changed(files, 'approvals/inclusion.jsonl', (text) => text.replace(/"proof":\["./, '"proof":["x')),
    changed(files, 'approvals/consistency.json', (text) => text.replace(/"proof":\[.*\]/, '"proof":[]')),
    changed(files, 'approvals/checkpoint', () => files.get('checkpoint')?.toString('utf8') ?? ''),
  ]
  for (const [at, wrong] of [...rows, without].entries()) {
    const sealed = await bundleCase(`change ${at}`, resealed(wrong, root), place('sealed.tar.gz'), vkey.trim())
    is(sealed.expected.verdict, 'failed', sealed.title)
    is((await askScript(sealed.evidence, sealed.key)).verdict, 'failed', sealed.title)
  }
})

withBundles('cover the tree that witnesses saw', async ({ create, ledger, place, root, vkey }) => {
  const witness = await startWitness({ logs: [vkey.trim()] })
  const text = `${witness.policyLine}\nquorum witness.example/w1\n`
  writeFileSync(join(root, 'policy.txt'), text)
  editConfig(root, { witness: { policy: 'policy.txt' } })
  await ledger.config.reload({ actor: human('BECCA') })
  const policy = await policyIn(text, 'policy')
  is((await syncWitnesses(ledger, { answerMillis: 5_000, layout: layoutOf(root), policy })).is_quorum, true)
  await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
  const { file } = await create({ run_id: 'run_top_1' })
  await witness.kill('SIGKILL')
  const files = unpack(file)
  ok(files.has('witnessed/checkpoint'))
  equal(await askScript([{ bytes: readFileSync(file), name: 'b' }], vkey.trim()), {
    failed: undefined,
    verdict: 'verified',
  })
  const rows = [
    changed(files, 'witnessed/checkpoint', (text) => text.replace(/^lockstep/, 'lockstop')),
    changed(files, 'witnessed/consistency.json', (text) => text.replace(/"proof":\[[^\]]*\]/, '"proof":["00"]')),
  ]
  for (const [at, wrong] of rows.entries()) {
    const sealed = await bundleCase(`change ${at}`, resealed(wrong, root), place('sealed.tar.gz'), vkey.trim())
    is(sealed.expected.verdict, 'failed', sealed.title)
    is((await askScript(sealed.evidence, sealed.key)).verdict, 'failed', sealed.title)
  }
})

withBundles('cover the texts that are disclosed beside an entry', async ({ create, ledger, vkey: line }) => {
  const vkey = line.trim()
  const event = { action_type: 'system', notes: 'as agreed by telephone', outcome: 'success' } as const
  const { events } = await ledger.audit.append({ events: [event] })
  const document = JSON.parse(JSON.stringify(await ledger.log.prove({ seq: events[0]?.seq ?? 0 })))
  const [disclosure] = document.disclosures as { path: string; salt: string; text: string }[]
  ok(disclosure !== undefined)
  const { path, salt, text } = disclosure
  const lists = [
    [disclosure],
    [],
    [{ path, salt, text: `${text}.` }],
    [{ path, salt: salt.replace(/^./, (digit) => (digit === '0' ? '1' : '0')), text }],
    [{ path: '/data/outcome', salt, text }],
    [{ path, salt, text: 7 }],
    [{ path, salt, text: '\ud800' }],
    'text',
    null,
  ]
  for (const disclosures of lists) {
    await agrees(await proofCase(JSON.stringify(disclosures), JSON.stringify({ ...document, disclosures }), vkey))
  }
  const report = await reportOf([{ bytes: JSON.stringify(document), name: 'p' }], vkey)
  ok(report.entries.includes(`${path}: as agreed by telephone`))
  const redaction = { redaction_applied: true, withheld: ['notes'] }
  const { file } = await create({ from: events[0]?.seq ?? 0, to: events[0]?.seq ?? 0 }, { redaction })
  const bundle = await reportOf([{ bytes: readFileSync(file), name: 'b' }], vkey)
  equal([bundle.verdict, bundle.entries.join().includes('telephone')], ['verified', false])
  ok(bundle.open.includes('Texts of entries that were held back or erased.'))
  const { open } = await reportOf([{ bytes: JSON.stringify({ ...document, disclosures: [] }), name: 'p' }], vkey)
  ok(open.includes('Texts of entries that were held back or erased.'))
})

withBundles('say what is proven, what is claimed, and what is not shown', async ({ create, ledger, vkey: line }) => {
  const vkey = line.trim()
  const { file } = await create({ case_id: 'CASE-17' })
  const all = await handedOut(ledger, file)
  const proof = await reportOf([{ bytes: all.proof, name: 'p' }], vkey)
  match(proof.proven.join(), /^The entry is at seq \d+ of a tree of \d+ entries with the root [0-9a-f]{64}\.$/)
  ok(proof.claimed.length > 0 && proof.open.length > 0)
  match(proof.entries[0] ?? '', /^\{"actor":/)
  const bundle = await reportOf([{ bytes: readFileSync(file), name: 'b' }], vkey)
  match(bundle.claimed.join(), /every run has ended, and has no later entry below size \d+/)
  const wrong = await reportOf([{ bytes: all.proof.replace('"seq":', '"seq":1'), name: 'p' }], vkey)
  equal([wrong.verdict, wrong.proven, wrong.claimed], ['failed', [], []])
  const nothing = await reportOf([], vkey)
  equal([nothing.verdict, nothing.steps.at(-1)?.check], ['failed', 'document'])
})

verdicts('name what is missing where WebCrypto is not there, or has no Ed25519', async () => {
  const { crypto } = globalThis
  const { subtle } = crypto
  const lacking = { digest: subtle.digest.bind(subtle), importKey: () => Promise.reject(new Error('no')) }
  for (const [value, text] of [
    [{}, /not to http/],
    [{ subtle: lacking }, /Ed25519/],
  ] as const) {
    Object.defineProperty(globalThis, 'crypto', { configurable: true, value })
    try {
      const { steps, verdict } = await reportOf([{ bytes: '{}', name: 'p' }], '')
      equal([verdict, steps.length, steps[0]?.check], ['unable', 1, 'platform'])
      match(steps[0]?.detail ?? '', text)
    } finally {
      Object.defineProperty(globalThis, 'crypto', { configurable: true, value: crypto })
    }
  }
})

verdicts.run()
