# Runs a program that must not outlive whoever started it.
#   sh -c "$(cat watch.sh)" NAME LOG PROGRAM [ARGUMENT...]
# fd 0  the lifeline: a pipe whose only write end the starter holds; at its end the whole process group is killed
# fd 1  the process id of the program is written here; held open by the guard, so that its end tells that the guard is gone
# fd 2  the hold: handed to the program as fd 4; at its end the starter and every such program are gone
log=$1
shift
exec 3<&0 4>&2 </dev/null 2>>"$log"
"$@" 3<&- >&2 &
pid=$!
echo "$pid"
# The guard. It ends its own group, this shell, the program and itself: no process id is named, so none can be a later stranger's.
{ read -r line <&3; kill -9 0; } 4>&- &
exec >&- 3<&-
wait "$pid"
