import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const auditor = suite('docs/how-to/answer-an-auditor.md')

const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')
const page = readFileSync(join(project, 'docs/how-to/answer-an-auditor.md'), 'utf8')
const mark = '<!-- played by test/docs/auditor.test.ts -->'

/** A question of the page with the commands that answer it, and the output that the page shows. */
const questions = page
  .split('\n## ')
  .filter((section) => section.includes(mark))
  .map((section) => {
    const [, script = '', shown = ''] = /```sh\n([\s\S]*?)```\n\n```\n([\s\S]*?)```/.exec(section) ?? []
    return { question: section.split('\n')[0] ?? '', script, shown }
  })

/** What must be in the answers, by question. Each list of words is looked for in one line. */
const answers: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'Who did it, and how is that known?': [
    // One line says who, how that is known, on whose behalf, what, under which role and policy.
    [
      'agent:agent-7 [os:USER] for ACME',
      'tool_call tool:transcription.run',
      'success',
      'role=INTERVIEW_AGENT',
      'lanes=',
    ],
  ],
  'On whose behalf?': [['agent:agent-7 [os:USER] for ACME']],
  'Under which policy?': [['pinned to lanes HEX, roles HEX'], ['human:USER [os:USER]', 'policy.load', 'success']],
  'Which rule allowed it? Who approved it?': [
    ['human:ana [os:USER]', 'allow', 'rule=lane:PROMOTE_SHARED_KNOWLEDGE/writes', 'role=ATTORNEY_ADMIN'],
    ['attorney_signoff=true', 'promotion_ticket_id=KM-42'],
  ],
  'What was refused?': [
    ['tool:files.delete', 'deny', '"not_permitted"', 'rule=lane:TOOL_INTERVIEW_CAPTURE/tools'],
    ['run_delete17 is denied'],
  ],
  'What belongs together?': [['  run_capture17'], ['  run_delete17']],
  'Who held the lock?': [['lock.released'], ['lock.acquired', 'agent:agent-7 [os:USER] for ACME']],
  'Was anything changed since?': [['verified'], ['extends the checkpoint of COUNT, root HEX'], ['COUNT root HEX']],
}

auditor('has an answer for each of its questions, and each comes out as the page shows it', async () => {
  const folder = temporaryRoot()
  const env = environmentWith(join(folder, 'bin'))
  const root = join(folder, 'ledger')
  mkdirSync(root)
  const play = (words: string[]) => {
    const { status, stderr, stdout } = spawnSync('sh', words, { cwd: root, encoding: 'utf8', env })
    is(status, 0, `${words.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
  play([join(project, 'examples/auditor/history.sh')])
  equal(
    questions.map(({ question }) => question),
    Object.keys(answers),
  )
  for (const { question, script, shown } of questions) {
    const printed = play(['-c', script])
    const lines = plain(printed, userInfo().username)
    const missing = plain(shown, 'becca').filter((line) => !lines.includes(line))
    equal(missing, [], `"${question}" is answered by:\n${printed}`)
    for (const words of answers[question] ?? []) {
      const found = lines.find((line) => words.every((word) => line.includes(word)))
      match(found ?? printed, words[0] ?? '', `"${question}" has no answer with ${words.join(' and ')}`)
    }
  }
  await endsWithVerify(root)
})

/** The lines of an output without what differs between two ledgers: times, numbers, hashes, and the user. */
function plain(text: string, user: string): string[] {
  return text
    .replaceAll(`os:${user}]`, 'os:USER]')
    .replaceAll(`human:${user} `, 'human:USER ')
    .replace(/at \d{4}-\d\d-\d\dT[\d:.]+Z/g, 'at TIME')
    .replace(/lockstep\.local\/\S+/g, 'VKEY')
    .replace(/\b[0-9a-f]{12,64}\b/g, 'HEX')
    .replace(/^\d+ {2}/gm, 'N  ')
    .replace(/entry \d+|\d+ entries|\d+ rows|size \d+|held_ms=\d+/g, 'COUNT')
    .split('\n')
    .filter((line) => line !== '')
}

/** An environment in which `lockstep` is the built command, and nothing else of Lockstep is set. */
function environmentWith(bin: string): NodeJS.ProcessEnv {
  mkdirSync(bin)
  writeFileSync(join(bin, 'lockstep'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`)
  chmodSync(join(bin, 'lockstep'), 0o755)
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('LOCKSTEP_'))
  return { ...Object.fromEntries(own), PATH: `${bin}:${process.env.PATH}`, XDG_CONFIG_HOME: join(bin, 'config') }
}

auditor.run()
