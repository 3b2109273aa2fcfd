import { Command } from 'commander'
import { LockstepError } from '../errors.ts'
import type { ExecOptions } from '../supervise/run-exec.ts'
import type { Survivors } from '../supervise/runner.ts'
import { actorFor, aroundDashes, examples, globalsOf, withLedger } from './context.ts'
import { survivorsOption } from './lock-run.ts'
import { say } from './output.ts'
import { collect, scopeIn, seconds } from './values.ts'

interface ExecFlags {
  case?: string
  effect?: string[]
  grace: number
  lane: string
  lease: number
  parent?: string
  role?: string
  runId?: string
  scope?: string[]
  survivors: Survivors
  timeout?: number
  tool: string
}

const leaseSecondsDefault = 60

export function execCommand(): Command {
  const command = new Command('exec')
    .description('Run a command as one mediated tool call, with its own run. The exit code is that of the command.')
    .usage('[options] --lane <lane_id> --tool <name> -- <command...>')
    .argument('[words...]', '-- and the command')
    .requiredOption('--lane <lane_id>', 'the lane of the tool call')
    .requiredOption('--tool <name>', 'the name that the lane uses for this command')
    .option('--parent <run_id>', 'the parent run')
    .option('--run-id <run_id>', 'the id of the new run (default: a new id)')
    .option('--role <role_id>', 'the role that the actor claims; the policy denies a call without one')
    .option('--case <case_id>', 'the case of the run; it also becomes case_id in the scope')
    .option('--scope <key=value>', 'a member of the scope; repeatable', collect)
    .option(
      '--effect <word>',
      'an effect of the tool call, in the words that lanes use to prohibit effects; repeatable',
      collect,
    )
    .option(
      '--lease <seconds>',
      'the lease of the run, which is renewed while the command runs',
      seconds,
      leaseSecondsDefault,
    )
    .option(
      '--timeout <seconds>',
      'end the command after this time and mark the run as failed (default: no limit)',
      seconds,
    )
    .option('--grace <seconds>', 'the time between TERM and KILL, as far as the lease allows', seconds, 10)
    .addOption(survivorsOption('for at most one lease'))
    .action(async (words: string[], flags: ExecFlags, self: Command) => {
      const globals = globalsOf(self)
      const { before, behind } = aroundDashes(self, words)
      if (before.length > 0 || behind.length === 0) {
        throw new LockstepError('INVALID_INPUT', 'the command must follow --, without other words before it', {
          hint: 'lockstep run exec --lane LANE --tool TOOL -- COMMAND…',
        })
      }
      const { superviseAsRun } = await import('../supervise/run-exec.ts')
      process.exitCode = await superviseAsRun({
        actor: actorFor(globals),
        argv: behind,
        request: requestFrom(flags),
        graceMillis: flags.grace * 1000,
        survivors: flags.survivors,
        timeoutMillis: flags.timeout === undefined ? undefined : flags.timeout * 1000,
        say,
        withLedger: (work) => withLedger(globals, 'run exec', work),
      })
    })
  return examples(
    command,
    'lockstep run exec --parent run_draft1 --lane shell --tool test.unit --role agent -- npm test',
    'lockstep run exec --lane shell --tool build.all --role agent --timeout 10m -- make',
  )
}

function requestFrom(flags: ExecFlags): ExecOptions['request'] {
  const of = flags.case === undefined ? {} : { case_id: flags.case }
  return {
    action: {
      action_type: 'tool_call',
      lane_id: flags.lane,
      scope: { ...of, ...scopeIn(flags.scope ?? []) },
      target: { name: flags.tool },
      ...(flags.effect === undefined ? {} : { effects: flags.effect }),
    },
    ...of,
    lease_duration_s: flags.lease,
    parent_run_id: flags.parent,
    role_id: flags.role,
    run_id: flags.runId,
  }
}
