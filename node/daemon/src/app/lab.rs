//! What a harness gave a node at its start, and how the two come together.
use crate::chain::Look;
use crate::lab::Lab;
use crate::net::Dialer;
use crate::owner::Input;
use crate::trace::Told;
use leyden_core::node::RecordKey;
use leyden_core::units::BlockHeight;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc as threads;
use tokio::sync::mpsc;

/// What a harness gave at the start.
pub struct LabEnd {
    /// The owner's end.
    pub lab: Lab,
    /// For whoever has something to tell.
    pub told: threads::Sender<Told>,
    /// Where orders come from.
    pub orders: UnixStream,
}

impl LabEnd {
    /// From now on the harness is told and obeyed, if there is one.
    pub(super) fn join(
        end: Option<Self>,
        inbox: &mpsc::Sender<Input>,
        looks: &threads::Sender<Look>,
        dialer: &Dialer,
        (listen, control): (Option<SocketAddr>, SocketAddr),
        (height, records): (BlockHeight, BTreeMap<RecordKey, Vec<u8>>),
    ) -> io::Result<Option<Lab>> {
        let Some(end) = end else { return Ok(None) };
        let (dialer, runtime) = (dialer.clone(), tokio::runtime::Handle::current());
        let dial = move |peer, address: String| {
            let dialer = dialer.clone();
            runtime.spawn(async move {
                if let Err(error) = dialer.connect(peer, &address).await {
                    tracing::error!(%peer, %error, "dialled in vain");
                }
            });
        };
        let _ = end.told.send(Told::Ready { listen, control, height: height.get(), records });
        Lab::obey(end.orders, inbox.clone(), looks.clone(), dial)?;
        Ok(Some(end.lab))
    }
}
