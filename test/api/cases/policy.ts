import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { equal, is, ok } from 'uvu/assert'
import { put } from '../../support/scene.ts'
import { becca, type Cases, refused } from '../stage.ts'

const action = {
  action_type: 'tool_call' as const,
  lane_id: 'TOOL_INTERVIEW_CAPTURE',
  scope: { case_id: 'CASE-17', client_session_id: 's', run_id: 'run_one_1' },
  target: { name: 'dictation.start' },
}
const asked = { action, case_id: 'CASE-17', role_id: 'INTERVIEW_AGENT', run_kind: 'tool_gateway' as const }

export const policy: Cases<'policy'> = {
  of: {
    show: {
      'gives the policy in force, once there is one': async (stage) => {
        await stage.apart({}, async ({ api }) => {
          await refused(api.policy.show(), 'NOT_FOUND')
          await api.policy.reload()
          equal((await api.policy.show()).lanes.on_disk, 'same')
        })
      },
    },
    check: {
      'says whether the files could be loaded': async (stage) => {
        await stage.apart({}, async ({ api, root }) => {
          is((await api.policy.check()).loadable, true)
          rmSync(join(root, '.lockstep/policy/roles.yaml'))
          await refused(api.policy.check(), 'POLICY_INVALID')
          put(root, 'contract/v1/policy/lanes.yaml', 'lanes: 1\n')
          put(root, 'contract/v1/policy/roles.yaml', 'roles: 1\n')
          const { loadable, problems } = await api.policy.check({ from: 'contract' })
          ok(!loadable && problems.length > 0)
        })
      },
    },
    explain: {
      'gives the decision for a role, or in a run': async ({ api }) => {
        await api.policy.reload()
        is((await api.policy.explain(asked)).decision, 'allow')
        const { case_id, role_id, run_kind } = asked
        const of = { run_id: 'run_one_1' }
        await api.runs.create({ ...of, case_id, lane_id: action.lane_id, role_id, run_kind })
        await api.runs.start(of)
        is((await api.policy.explain({ ...of, action })).decision, 'allow')
        await refused(api.policy.explain({ action, run_id: 'run_nowhere' }), 'NOT_FOUND')
        await refused(api.policy.explain({ action } as never), 'INVALID_INPUT')
      },
    },
    reload: {
      'puts the files in force, once': async ({ api }) => {
        const { replayed: _, ...before } = await api.policy.reload()
        equal(await api.policy.reload(), { ...before, replayed: true })
      },
      'is for operators where a policy is in force, and takes no bad files': async (stage) => {
        await stage.apart({}, async ({ api, root }) => {
          await api.policy.reload()
          const lanes = readFileSync('examples/policy/case-work/lanes.yaml', 'utf8')
          put(root, 'contract/v1/policy/lanes.yaml', `${lanes}# changed\n`)
          put(root, 'contract/v1/policy/roles.yaml', readFileSync('examples/policy/case-work/roles.yaml', 'utf8'))
          equal((await api.policy.check()).changes, [])
          is((await api.policy.reload({ actor: becca })).replayed, true)
          await refused(api.policy.reload({ from: 'contract' }), 'POLICY_DENIED')
          is((await api.policy.reload({ actor: becca, from: 'contract' })).replayed, false)
          put(root, 'contract/v1/policy/lanes.yaml', 'lanes: 1\n')
          await refused(api.policy.reload({ actor: becca }), 'POLICY_INVALID')
        })
      },
    },
  },
}
