//! The embedded network: two small pictures → motion, half-way between them, towards both, and the share of the first.
//!
//! It takes any time, but answers well only near the middle: of a large motion, at a fifth of the time it reports a tenth
//! of the way, and nearer to a picture it snaps to it. So it is asked for the middle alone, again and again ([`track`]).
//!
//! [`track`]: super::track
//!
//! See `assets/README.md` for its origin and interface. It is loaded once a process, by the first frame that needs it.

use super::picture::Picture;
use crate::error::GeneratorError;
use rten::{Model, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use std::sync::{Arc, OnceLock};

static WEIGHTS: &[u8] = include_bytes!("../../assets/rife-4.25-dynamic-f16.onnx");

/// What the network says of one pixel, in pixels of the small picture: motion to the first picture (x, y), motion to
/// the second (x, y), the share of the first in 0…1. Three lanes are free.
pub(super) type Motion = [f32; 8];

/// The loaded network.
pub(super) struct Network {
    model: Model,
    inputs: Inputs,
    outputs: [NodeId; 2],
}

struct Inputs {
    a: NodeId,
    b: NodeId,
    time: NodeId,
    grid: NodeId,
    norm: NodeId,
}

impl Network {
    /// The network of this process; some 40 ms at the first call.
    pub(super) fn shared() -> Result<&'static Self, GeneratorError> {
        static NETWORK: OnceLock<Result<Network, String>> = OnceLock::new();
        NETWORK
            .get_or_init(|| Self::load().map_err(|error| error.to_string()))
            .as_ref()
            .map_err(|reason| failure("loading")(reason.clone()))
    }

    fn load() -> Result<Self, Box<dyn std::error::Error>> {
        let model = Model::load_static_slice(WEIGHTS)?;
        let inputs = Inputs {
            a: model.node_id("a")?,
            b: model.node_id("b")?,
            time: model.node_id("tm")?,
            grid: model.node_id("grid")?,
            norm: model.node_id("norm")?,
        };
        let outputs = [model.node_id("flow")?, model.node_id("mask")?];
        Ok(Self { model, inputs, outputs })
    }

    /// Motion half-way between two small pictures of one size, for every pixel. `threads` is the pool to run in; none for
    /// the process's pool of one thread a physical core.
    pub(super) fn halfway(
        &self,
        (a, b): (&Picture, &Picture),
        threads: Option<Arc<ThreadPool>>,
    ) -> Result<Vec<Motion>, GeneratorError> {
        let (width, height) = (a.width(), a.height());
        let pixels = width * height;
        let unit = |i: usize, side: usize| (2 * i) as f32 / (side - 1) as f32 - 1.0;
        let columns = (0..height).flat_map(|_| (0..width).map(|x| unit(x, width)));
        let rows = (0..height).flat_map(|y| (0..width).map(move |_| unit(y, height)));
        let inputs = vec![
            (self.inputs.a, tensor([1, 3, height, width], a.planes())?),
            (self.inputs.b, tensor([1, 3, height, width], b.planes())?),
            (self.inputs.time, tensor([1, 1, height, width], vec![0.5; pixels])?),
            (self.inputs.grid, tensor([1, 2, height, width], columns.chain(rows).collect())?),
            (self.inputs.norm, tensor([1, 2, 1, 1], vec![2.0 / (width - 1) as f32, 2.0 / (height - 1) as f32])?),
        ];
        let options = RunOptions::default().with_thread_pool(threads);
        let [flow, share] = self.model.run_n(inputs, self.outputs, Some(options)).map_err(failure("finding motion"))?;
        let (_, flow) = flow.into_shape_vec::<f32, 4>().map_err(failure("reading its motion"))?;
        let (_, share) = share.into_shape_vec::<f32, 4>().map_err(failure("reading its mask"))?;
        let mut motion = vec![[0f32; 8]; pixels];
        for (lane, plane) in flow.chunks_exact(pixels).chain(share.chunks_exact(pixels)).enumerate() {
            for (motion, value) in motion.iter_mut().zip(plane) {
                if let Some(slot) = motion.get_mut(lane) {
                    *slot = *value;
                }
            }
        }
        Ok(motion)
    }
}

fn tensor(shape: [usize; 4], data: Vec<f32>) -> Result<ValueOrView<'static>, GeneratorError> {
    Value::from_shape(shape, data).map(ValueOrView::from).map_err(failure("preparing its input"))
}

fn failure<E: Into<Box<dyn std::error::Error + Send + Sync>>>(doing: &'static str) -> impl Fn(E) -> GeneratorError {
    move |source| GeneratorError::Model { doing, source: source.into() }
}
