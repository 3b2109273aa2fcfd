import { type Policy, standsFor } from './policy.ts'

/**
 * The lane in which a tool call of a role is decided if the caller names none: the first one in the file that the role
 * and the lane grant each other and that lists the tool. If no lane lists it, the first lane of the role, which then
 * denies it. Undefined for a role without a lane.
 */
export function laneOfTool({ lanes, roles }: Policy, { role_id, tool }: { role_id: string; tool: string }) {
  const granted = roles.get(role_id)?.privileges.lanes ?? []
  const open = [...lanes.values()].filter(
    ({ allowed_callers, lane_id }) => granted.includes(lane_id) && allowed_callers.roles.includes(role_id),
  )
  const isListed = (names: readonly string[] = []) => names.some((name) => standsFor(name, tool))
  return (open.find(({ allowed_actions }) => isListed(allowed_actions.tools)) ?? open[0])?.lane_id
}
