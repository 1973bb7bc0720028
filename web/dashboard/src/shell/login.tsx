// The way in.

import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { post, setCsrfToken } from "../api/client";
import { queryClient } from "../api/queries";
import type { Session } from "../api/types";
import { t } from "../text";
import { Button } from "../ui/button";
import { FormError, TextField } from "../ui/field";
import { Logo } from "./logo";

export function Login() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const login = useMutation({
    mutationFn: () => post<Session>("/session", { name, password }),
    onSuccess: (session) => {
      setCsrfToken(session.csrf_token ?? null);
      queryClient.setQueryData(["session"], session);
    },
  });
  useEffect(() => {
    document.title = `${t.login.title} · ${t.product}`;
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    login.mutate();
  };
  return (
    <main className="login">
      <form onSubmit={submit} className="login-form">
        <Logo size={40} />
        <h1>{t.login.heading}</h1>
        <TextField label={t.login.name} value={name} onChange={(event) => setName(event.target.value)} autoComplete="username" autoFocus required />
        <TextField label={t.login.password} type="password" value={password} onChange={(event) => setPassword(event.target.value)} autoComplete="current-password" required />
        <FormError error={login.error} />
        <Button kind="primary" type="submit" busy={login.isPending}>{t.login.submit}</Button>
        <p className="hint">{t.login.hint}</p>
      </form>
    </main>
  );
}
