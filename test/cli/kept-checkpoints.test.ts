import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { verifyGrowth } from '../../src/verify.ts'
import { caseWork } from '../support/case-work.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const kept = suite('checkpoints that were kept')

type Growth = { file: string; from: number; proof: string[]; to: number }

/** A ledger with three kept checkpoints, and commands in it. */
async function ledgerWithKept() {
  const root = caseWork(temporaryRoot())
  const elsewhere = temporaryRoot()
  const place = (name: string) => join(elsewhere, name)
  const run = (...words: string[]) => lockstep(['--dir', root, ...words])
  const done = async (...words: string[]) => {
    const ended = await run(...words)
    is(ended.status, 0, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
    return ended.json
  }
  await done('init', root)
  const files: string[] = []
  const keep = async () => {
    const { checkpoint, size } = await done('head', '--signed')
    files.push(place(`${files.length}.txt`))
    writeFileSync(files.at(-1) ?? '', String(checkpoint))
    return Number(size)
  }
  const append = () => done('audit', 'append', '--outcome', 'success', '--reason', 'nightly')
  const sizes = [await keep()]
  await append()
  sizes.push(await keep())
  await append()
  sizes.push(await keep())
  const vkey = readFileSync(join(root, '.lockstep/key.pub'), 'utf8').trim()
  return { append, done, files, place, root, run, sizes, vkey }
}

kept('prove with "consistency" that the ledger continues them, now or at a size, and against which key', async () => {
  const { append, done, files, root, run, sizes, vkey } = await ledgerWithKept()
  await append()
  const [first = 0, second = 0, third = 0] = sizes
  const shown = await done('consistency', '--checkpoint', ...files, '--key', vkey)
  const growths = shown.growths as Growth[]
  equal([shown.key, shown.vkey], ['given', vkey])
  equal(
    growths.map(({ file, from, to }) => [file, from, to]),
    files.map((file, at) => [file, sizes[at], shown.size]),
  )
  for (const [at, { proof }] of growths.entries()) {
    const note = readFileSync(files[at] ?? '', 'utf8')
    ok((await verifyGrowth(note, shown.checkpoint, proof, vkey)).ok)
  }
  const own = await done('consistency', String(second), '--checkpoint', ...files)
  is(own.key, 'own')
  equal(
    (own.growths as Growth[]).map(({ from, to }) => [from, to]),
    [
      [first, second],
      [second, second],
      [second, third],
    ],
  )
  const { stdout } = await lockstep(['--dir', root, 'consistency', '--checkpoint', files[0] ?? ''], {
    isForPeople: true,
  })
  match(stdout, /^extends the checkpoint of size \d+, root [0-9a-f]{64}, in /m)
  match(stdout, /^The checkpoints are signed with the ledger’s own key, lockstep\.local\//m)
  for (const words of [[], ['1', '2', '--checkpoint', ...files], ['99', '--checkpoint', ...files]]) {
    const { json, status } = await run('consistency', ...words)
    equal([status, json.code], [2, 'INVALID_INPUT'], words.join(' '))
  }
  await endsWithVerify(root)
})

kept('find with "consistency" a ledger that was set back, and the ledger of somebody else', async () => {
  const { append, files, place, root, run } = await ledgerWithKept()
  const checked = ['consistency', '--checkpoint', ...files]
  cpSync(join(root, '.lockstep'), place('earlier'), { recursive: true })
  await append()
  const note = (await run('head', '--signed')).json.checkpoint
  writeFileSync(place('latest.txt'), String(note))
  rmSync(join(root, '.lockstep'), { recursive: true })
  renameSync(place('earlier'), join(root, '.lockstep'))
  is((await run('adopt', '--moved')).status, 0)
  is((await run(...checked)).status, 0)
  const found = await run(...checked, place('latest.txt'))
  equal([found.status, found.json.check, found.json.file], [6, 'checkpoint', place('latest.txt')])
  match(String(found.json.message), /entries were removed/)
  const other = await ledgerWithKept()
  const foreign = await other.run(...checked)
  equal([foreign.status, foreign.json.check], [6, 'checkpoint'])
})

kept('verify a bundle offline, and what is missing for that is named', async () => {
  const { done, files, place, root, sizes, vkey } = await ledgerWithKept()
  await done('run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top_1', '--case', 'CASE-17')
  const out = place('bundle.tar.gz')
  const governed = ['--lane', 'EXPORT_CASE_DATA', '--role', 'ATTORNEY_ADMIN', '--reason', 'asked for']
  await done('export', 'create', '--case', 'CASE-17', '--out', out, ...governed)
  const elsewhere = (...words: string[]) => lockstep(['export', 'verify', out, ...words], { cwd: place('.') })
  const missing = await elsewhere('--checkpoint', ...files)
  equal([missing.status, missing.json.code, missing.json.from], [2, 'INVALID_INPUT', sizes[0]])
  const [, size] = /"lockstep consistency \d+ (\d+) --json"/.exec(String(missing.json.hint)) ?? []
  const proofs = await done('consistency', String(size), '--checkpoint', ...files)
  writeFileSync(place('growths.json'), JSON.stringify(proofs))
  const { json, status, stdout } = await elsewhere('--checkpoint', ...files, '--proof', place('growths.json'))
  is(status, 0, stdout)
  equal([json.authenticity, (json.proven as { checkpoints: unknown[] }).checkpoints.length], ['checked', 3])
  const one = await done('consistency', String(sizes[0]), String(size))
  writeFileSync(place('one.json'), JSON.stringify(one))
  is((await elsewhere('--checkpoint', files[0] ?? '', '--proof', place('one.json'), '--key', vkey)).status, 0)
  writeFileSync(place('none.json'), '{}')
  is((await elsewhere('--checkpoint', files[0] ?? '', '--proof', place('none.json'))).json.code, 'INVALID_INPUT')
  await endsWithVerify(root)
})

kept.run()
