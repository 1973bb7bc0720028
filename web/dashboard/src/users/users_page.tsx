// Who may come in: people with passwords, programs with keys.

import { KeyRound, Pencil, Plus, Trash2, UserPlus } from "lucide-react";
import { useState } from "react";
import { patch, post, remove } from "../api/client";
import { useApiKeys, useChange, useUsers } from "../api/queries";
import type { ApiKey, Role, User } from "../api/types";
import { full } from "../format";
import { useUser } from "../shell/session";
import { t } from "../text";
import { Button, CopyButton, IconButton } from "../ui/button";
import { Confirm, Dialog, FormDialog } from "../ui/dialog";
import { errorOf, SelectField, TextField } from "../ui/field";
import { Failed, Loading, Page, Panel } from "../ui/page";

const ROLES: Role[] = ["admin", "operator", "viewer"];

export function UsersPage() {
  return (
    <Page title={t.nav.users}>
      <div className="stack">
        <Users />
        <ApiKeys />
      </div>
    </Page>
  );
}

function Users() {
  const { data: users, error, isPending } = useUsers();
  const [editing, setEditing] = useState<User | "new">();
  const [removing, setRemoving] = useState<User>();
  const change = useChange((id: number) => remove(`/users/${id}`), "users");
  const me = useUser();
  return (
    <Panel title={t.users.people} actions={<Button size="small" kind="primary" icon={UserPlus} onClick={() => setEditing("new")}>{t.users.add}</Button>}>
      {error && <Failed error={error} />}
      {isPending && <Loading rows={2} />}
      {users && (
        <div className="table-box">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t.name}</th>
                <th scope="col">{t.users.role}</th>
                <th scope="col" className="number">{t.users.quota}</th>
                <th scope="col">{t.users.since}</th>
                <th scope="col"><span className="sr-only">{t.actions}</span></th>
              </tr>
            </thead>
            <tbody>
              {users.map((user) => (
                <tr key={user.id}>
                  <td><b>{user.name}</b>{user.name === me.name && <span className="chip">{t.users.you}</span>}</td>
                  <td>{t.roles[user.role]} <span className="faint">{t.users.roleSays[user.role]}</span></td>
                  <td className="number">{user.restream_quota ?? <span className="faint">{t.users.noQuota}</span>}</td>
                  <td className="faint nowrap">{full(user.created_at)}</td>
                  <td className="row-actions">
                    <IconButton label={t.users.edit(user.name)} icon={Pencil} onClick={() => setEditing(user)} />
                    <IconButton label={t.users.remove(user.name)} icon={Trash2} onClick={() => setRemoving(user)} disabled={user.name === me.name} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {editing && <UserDialog user={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
      <Confirm title={t.users.remove(removing?.name ?? "")} body={t.users.removeBody} action={t.remove} open={Boolean(removing)} onClose={() => setRemoving(undefined)}
        onConfirm={() => (removing ? change.mutateAsync(removing.id) : Promise.resolve())} />
    </Panel>
  );
}

function UserDialog({ user, onClose }: { user: User | undefined; onClose: () => void }) {
  const [name, setName] = useState(user?.name ?? "");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<Role>(user?.role ?? "operator");
  const [quota, setQuota] = useState(user?.restream_quota == null ? "" : String(user.restream_quota));
  const save = useChange(() => {
    const input = { name: name.trim(), role, restream_quota: quota === "" ? null : Number(quota), ...(password ? { password } : {}) };
    return user ? patch(`/users/${user.id}`, input) : post("/users", input);
  }, "users");
  return (
    <FormDialog open onClose={onClose} title={user ? t.users.edit(user.name) : t.users.add} submit={t.save} busy={save.isPending} error={save.error} fields={["name", "password", "role", "restream_quota"]}
      onSubmit={() => save.mutate(undefined, { onSuccess: onClose })}>
      <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} error={errorOf(save.error, "name")} required />
      <TextField label={t.login.password} type="password" autoComplete="new-password" value={password} onChange={(event) => setPassword(event.target.value)} required={!user} minLength={8}
        hint={user ? t.users.passwordKept : t.users.passwordHint} error={errorOf(save.error, "password")} />
      <SelectField label={t.users.role} value={role} onChange={(event) => setRole(event.target.value as Role)} hint={t.users.roleSays[role]} error={errorOf(save.error, "role")}>
        {ROLES.map((each) => <option key={each} value={each}>{t.roles[each]}</option>)}
      </SelectField>
      <TextField label={t.users.quota} type="number" min={0} value={quota} onChange={(event) => setQuota(event.target.value)} hint={t.users.quotaHint} error={errorOf(save.error, "restream_quota")} />
    </FormDialog>
  );
}

function ApiKeys() {
  const { data: apiKeys, error, isPending } = useApiKeys();
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<ApiKey>();
  const change = useChange((id: number) => remove(`/apikeys/${id}`), "apikeys");
  return (
    <Panel title={t.apiKeys.title} actions={<Button size="small" icon={Plus} onClick={() => setAdding(true)}>{t.apiKeys.add}</Button>}>
      {error && <Failed error={error} />}
      {isPending && <Loading rows={2} />}
      {apiKeys?.length === 0 && <p className="no-events">{t.apiKeys.none}</p>}
      {apiKeys && apiKeys.length > 0 && (
        <div className="table-box">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t.name}</th>
                <th scope="col">{t.users.role}</th>
                <th scope="col">{t.users.since}</th>
                <th scope="col"><span className="sr-only">{t.actions}</span></th>
              </tr>
            </thead>
            <tbody>
              {apiKeys.map((key) => (
                <tr key={key.id}>
                  <td><span className="with-mark"><KeyRound aria-hidden size={15} className="faint" /><b>{key.name}</b></span></td>
                  <td>{t.roles[key.role]}</td>
                  <td className="faint nowrap">{full(key.created_at)}</td>
                  <td className="row-actions"><IconButton label={t.apiKeys.remove(key.name)} icon={Trash2} onClick={() => setRemoving(key)} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {adding && <ApiKeyDialog onClose={() => setAdding(false)} />}
      <Confirm title={t.apiKeys.remove(removing?.name ?? "")} body={t.apiKeys.removeBody} action={t.remove} open={Boolean(removing)} onClose={() => setRemoving(undefined)}
        onConfirm={() => (removing ? change.mutateAsync(removing.id) : Promise.resolve())} />
    </Panel>
  );
}

function ApiKeyDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("operator");
  const create = useChange(() => post<ApiKey>("/apikeys", { name: name.trim(), role }), "apikeys");
  if (create.data?.key) {
    return (
      <Dialog open onClose={onClose} title={t.apiKeys.made(create.data.name)} description={t.apiKeys.once}>
        <div className="dialog-body">
          <dl className="key-rows">
            <div className="key-row">
              <dt>{t.apiKeys.one}</dt>
              <dd>
                <span className="mono">{create.data.key}</span>
                <CopyButton text={create.data.key} what={t.apiKeys.one} />
              </dd>
            </div>
          </dl>
        </div>
        <footer className="dialog-foot"><Button kind="primary" onClick={onClose}>{t.done}</Button></footer>
      </Dialog>
    );
  }
  return (
    <FormDialog open onClose={onClose} title={t.apiKeys.add} submit={t.apiKeys.submit} busy={create.isPending} error={create.error} fields={["name", "role"]} onSubmit={() => create.mutate(undefined)}>
      <TextField label={t.name} value={name} onChange={(event) => setName(event.target.value)} error={errorOf(create.error, "name")} required placeholder="ci" />
      <SelectField label={t.users.role} value={role} onChange={(event) => setRole(event.target.value as Role)} hint={t.users.roleSays[role]}>
        {ROLES.map((each) => <option key={each} value={each}>{t.roles[each]}</option>)}
      </SelectField>
    </FormDialog>
  );
}
