// One's own password.

import { useState } from "react";
import { patch } from "../api/client";
import { useChange } from "../api/queries";
import { t } from "../text";
import { FormDialog } from "../ui/dialog";
import { errorOf, TextField } from "../ui/field";
import { toast } from "../ui/toast";

export function ChangePassword({ onClose }: { onClose: () => void }) {
  const [password, setPassword] = useState("");
  const [next, setNext] = useState("");
  const change = useChange(() => patch("/session", { password, new_password: next }));
  const done = () => {
    toast.good(t.password.done);
    onClose();
  };
  return (
    <FormDialog open onClose={onClose} title={t.password.title} submit={t.save} busy={change.isPending} error={change.error} fields={["password", "new_password"]}
      onSubmit={() => change.mutate(undefined, { onSuccess: done })}>
      <TextField label={t.password.current} type="password" autoComplete="current-password" value={password} onChange={(event) => setPassword(event.target.value)} error={errorOf(change.error, "password")} required autoFocus />
      <TextField label={t.password.next} type="password" autoComplete="new-password" value={next} onChange={(event) => setNext(event.target.value)} hint={t.password.hint} error={errorOf(change.error, "new_password")} required minLength={8} />
    </FormDialog>
  );
}
