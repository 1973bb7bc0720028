//! nginx-rtmp, the peer that most people run: it records pushes, or pushes on what it is sent.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Child, wait_until};

/// Where Debian and Ubuntu put the module of libnginx-mod-rtmp.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// A running nginx with one worker and one RTMP application, `app`.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    folder: TempDir,
    child: Child,
}

impl Nginx {
    /// An nginx that records every stream to a file named after its key.
    pub fn recorder() -> Self {
        Self::start("record all; record_suffix .flv;")
    }

    /// An nginx that pushes what it is sent to each of these addresses (`127.0.0.1:PORT`), as application `app` with the same key.
    pub fn relay(destinations: &[SocketAddr]) -> Self {
        let pushes: String = destinations.iter().map(|address| format!("push rtmp://{address}/app;\n")).collect();
        Self::start(&pushes)
    }

    /// An nginx with these directives in its application.
    pub fn start(directives: &str) -> Self {
        Self::launch(|path, port| {
            format!(
                "rtmp {{ access_log off; server {{ listen 127.0.0.1:{port}; chunk_size 4096;
                   application app {{ live on; record_path {path}; {directives} }} }} }}"
            )
        })
    }

    /// An nginx that serves this folder by HTTP.
    pub fn site(root: &Path) -> Self {
        Self::launch(|path, port| {
            format!(
                "http {{ access_log off; client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;
                   uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;
                   server {{ listen 127.0.0.1:{port}; location / {{ root {}; }} }} }}",
                root.display()
            )
        })
    }

    /// An nginx whose block of servers is made of its own folder and its port.
    fn launch(servers: impl FnOnce(&str, u16) -> String) -> Self {
        let folder = TempDir::with_prefix("weir-test-nginx-").expect("a temporary folder can be made");
        let port = free_port();
        let path = folder.path().display().to_string();
        let servers = servers(&path, port);
        // The workers of a root nginx would be `nobody` and could not write here. Where the master is not root, nginx ignores the line.
        let configuration = format!(
            "user root; daemon off; master_process on; worker_processes 1; pid {path}/pid; error_log {path}/error.log warn;
             load_module {MODULE};
             events {{ worker_connections 4096; }}
             {servers}"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).expect("the file can be written");
        let mut command = Command::new("nginx");
        // Debian keeps nginx in sbin, which is not in everybody's path.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin")).arg("-c").arg(&file);
        command.arg("-p").arg(folder.path()).args(["-e", "stderr"]);
        let mut child = Child::start(command);
        wait_until("nginx listened", Duration::from_secs(10), || {
            assert!(!child.has_ended(), "nginx ended: {:?}", child.output());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { port, folder, child }
    }

    /// The address, `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn url(&self, stream_key: &str) -> String {
        format!("rtmp://{}/app/{stream_key}", self.address())
    }

    /// The file that it recorded under this key; complete once the publisher has gone.
    pub fn recording(&self, stream_key: &str) -> PathBuf {
        self.folder.path().join(format!("{stream_key}.flv"))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // With SIGTERM the master takes its worker along, in milliseconds; when killed it would leave it behind.
        self.child.terminate();
        let end = Instant::now() + Duration::from_secs(5);
        while !self.child.has_ended() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A port that was free a moment ago, for programs that can't pick one themselves. It is not one of those that the system gives to
/// outgoing connections (32768 and up), of which a test beside this one would soon take it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test programs that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(97);
    let port =
        || 20_000 + u16::try_from(begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000).unwrap_or(0);
    let mut ports = std::iter::repeat_with(port).take(10_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
