#!/bin/sh
# Makes a small ledger in the working directory: the history that docs/how-to/answer-an-auditor.md asks about.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# The policy of a law firm, which "init" puts in force.
mkdir -p contract/v1
cp -R "$here/../policy/case-work" contract/v1/policy
lockstep init > /dev/null
lockstep head --signed > checkpoint.txt

# An agent works for a client: one allowed tool call, and one that no lane allows.
export LOCKSTEP_ACTOR=agent:agent-7 LOCKSTEP_ON_BEHALF_OF=ACME
lockstep run create --kind orchestrator --run-id run_matter17 --case CASE-17 > /dev/null
lockstep run start run_matter17 > /dev/null
call='run exec --parent run_matter17 --case CASE-17 --lane TOOL_INTERVIEW_CAPTURE --role INTERVIEW_AGENT'
lockstep $call --scope client_session_id=s-1 --run-id run_capture17 --tool transcription.run -- true
lockstep $call --scope client_session_id=s-1 --run-id run_delete17 --tool files.delete -- true 2> /dev/null || [ $? = 4 ]
lockstep lock run reports -- true

# A human promotes an insight to shared knowledge, under a ticket and a sign-off.
export LOCKSTEP_ACTOR=human:ana LOCKSTEP_ON_BEHALF_OF=
of='--lane PROMOTE_SHARED_KNOWLEDGE'
lockstep run create --kind promotion $of --role ATTORNEY_ADMIN --run-id run_promote17 > /dev/null
lockstep run start run_promote17 > /dev/null
decision=$(lockstep run authorize run_promote17 --action promotion $of --target shared_playbooks --mode append \
  --artifacts "$here/insight.json" --scope promotion_ticket_id=KM-42 --scope attorney_signoff=true \
  --scope run_id=run_promote17 | sed -n 's/^decision_id //p')
lockstep run record run_promote17 --decision "$decision" --outcome success --outputs "$here/insight.json" > /dev/null
lockstep run complete run_promote17 --reason promoted > /dev/null
